from decimal import Decimal

import msgspec
import pytest

from services.common.errors import Invalid
from services.common.money import RoundingMode
from services.common.terms import Terms, decode_terms, encode_terms


def terms(**changes: object) -> Terms:
    fields: dict[str, object] = {
        "account_id": "acc_1",
        "rate_id": 7,
        "deck_id": "dck_1",
        "prefix": "4930",
        "currency": "EUR",
        "first_price": Decimal("0.0100000000"),
        "next_price": Decimal("0.02"),
    }
    return Terms(**{**fields, **changes})  # type: ignore[arg-type]


def test_opaque_form_gives_back_the_very_terms() -> None:
    original = terms(first_s=60, next_s=6, mode=RoundingMode.UP, digits=4, grace_s=3)
    assert decode_terms(encode_terms(original)) == original


def test_prices_travel_as_decimal_strings() -> None:
    assert b'"first_price":"0.0100000000"' in encode_terms(terms())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connect_fee", Decimal("-0.01")),
        ("first_price", Decimal(-1)),
        ("next_price", Decimal(-1)),
        ("minimum", Decimal(-1)),
        ("first_s", 0),
        ("next_s", 0),
        ("free_s", -1),
        ("grace_s", -1),
        ("digits", 11),
        ("digits", -1),
        ("precision_ms", 0),
        ("precision_ms", 1001),
    ],
)
def test_impossible_terms_are_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(Invalid) as caught:
        terms(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b"\xff",
        encode_terms(terms()).replace(b'"rate_id":7', b'"rate_id":"7"'),
        encode_terms(terms()).replace(b'"rate_id"', b'"surprise":1,"rate_id"'),
    ],
)
def test_what_is_no_terms_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        decode_terms(data)


def test_stored_terms_are_checked_like_made_ones() -> None:
    negative = encode_terms(terms()).replace(b'"0.02"', b'"-0.02"')
    with pytest.raises((Invalid, msgspec.ValidationError)):
        decode_terms(negative)
