import datetime as dt
from decimal import Decimal

import pytest

from services.api.core.records import (
    Record,
    changes,
    etag,
    instant_text,
    jsonable,
    masked,
    matches,
)

AT = dt.datetime(2030, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def test_json_form() -> None:
    value = {"a": Decimal("1.500"), "b": AT, "c": (1, None), "d": {"e": True}}
    assert jsonable(value) == {
        "a": "1.5",
        "b": "2030-01-01T10:00:00Z",
        "c": [1, None],
        "d": {"e": True},
    }


def test_ends_of_time_are_null() -> None:
    for edge in (dt.datetime.max, dt.datetime.min):  # noqa: DTZ901 - what the driver says
        assert instant_text(edge) is None
        assert instant_text(edge.replace(tzinfo=dt.UTC)) is None


def test_etag_follows_configuration_and_nothing_else() -> None:
    record: Record = {"name": "a", "credit_limit": Decimal("1.0"), "balance": Decimal(5)}
    tag = etag(record, computed={"balance"})
    assert tag == etag({**record, "balance": Decimal(6)}, computed={"balance"})
    assert tag == etag({**record, "credit_limit": Decimal(1)}, computed={"balance"})
    assert tag != etag({**record, "name": "b"}, computed={"balance"})


@pytest.mark.parametrize(
    ("header", "accepted"),
    [(None, True), ("*", True), ('"a"', True), ('"x", "a"', True), ('"x"', False),
     ('W/"a"', False), ("", False)],
)  # fmt: skip
def test_if_match(header: str | None, *, accepted: bool) -> None:
    assert matches(header, '"a"') is accepted


def test_changes_are_only_what_is_wanted_and_different() -> None:
    before: Record = {"a": 1, "b": Decimal("2.0"), "c": ["x", "y"], "updated_at": AT}
    assert changes(before, {"b": Decimal(2), "c": ["y", "x"], "updated_at": None}) == {}
    assert changes(before, {"a": 3}) == {"a": (1, 3)}


def test_secrets_are_masked_wherever_they_are_shown() -> None:
    assert masked({"secret": "whsec_abcdef", "previous_secret": None, "name": "n"}) == {
        "secret": "…cdef",
        "previous_secret": None,
        "name": "n",
    }
    assert changes({"secret": "old-1234"}, {"secret": "new-5678"}) == {
        "secret": ("…1234", "…5678")
    }
