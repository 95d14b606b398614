"""Numbers as written, as matched and as sent."""

import pytest

from services.routing.core.numbers import (
    called_as_offered,
    called_as_sent,
    caller_as_sent,
    digits_of,
    priced_number,
)


@pytest.mark.parametrize(
    "written, digits",
    [
        ("4930123", "4930123"),
        ("+4930123", "4930123"),
        ("004930123", "4930123"),
        ("+49 (30) 123-45.6", "4930123456"),
        ("4930123;npdi;rn=+4930999", "4930123"),
        ("030123", "030123"),
        ("0", "0"),
        ("+0049", "0049"),
        ("0" * 34, "0" * 32),
    ],
)
def test_a_number_is_brought_to_its_digits(written: str, digits: str) -> None:
    assert digits_of(written) == digits


@pytest.mark.parametrize(
    "written",
    ["", "+", "00", "++49", "alice", "49*30", "#31#4930", "49x", "٤٩", "4²", "1" * 33, "-" * 65,
     "1" + "-" * 64, "49\r\n30", "49\x0030", ";49", "4+9"],
)  # fmt: skip
def test_what_is_not_a_number(written: str) -> None:
    assert digits_of(written) is None


@pytest.mark.parametrize("caller", ["+4930123", "anonymous", "alice.b", "4930123", "", "a~b*#"])
def test_harmless_callers_are_sent_as_received(caller: str) -> None:
    assert caller_as_sent(caller) == caller


@pytest.mark.parametrize(
    "caller, sent",
    [
        ("a@b", ""),
        ("a\r\nVia: x", ""),
        ('"x" <49>', ""),
        ("+49 30;x=1", "4930"),
        ("ä", ""),
        ("x" * 65, ""),
    ],
)
def test_a_caller_that_could_be_read_as_syntax_is_reduced_to_digits(
    caller: str, sent: str
) -> None:
    assert caller_as_sent(caller) == sent


def test_vendor_notation() -> None:
    assert called_as_sent("4930123", strip=0, prepend="") == "4930123"
    assert called_as_sent("4930123", strip=2, prepend="0") == "030123"
    assert called_as_sent("4930123", strip=0, prepend="+") == "+4930123"
    assert called_as_sent("4930123", strip=0, prepend="99#") == "99#4930123"
    assert called_as_sent("49", strip=2, prepend="+") == ""
    assert called_as_sent("49", strip=18, prepend="+") == ""


def test_a_number_offered_by_a_routing_server_is_sent_as_it_is_or_not_at_all() -> None:
    for fit in ("4930", "+4930", "99#4930", "4930;npdi;rn=491", "short*code"):
        assert called_as_offered(fit) == fit
    for unfit in ("", "49 30", "a@b", "4\r\n", "é", "4" * 65, '"', "<"):
        assert called_as_offered(unfit) is None


def test_an_offered_number_is_priced_without_the_trunks_own_prefix() -> None:
    assert priced_number("99#4930", prepend="99#", called="1") == "4930"
    assert priced_number("4930", prepend="99#", called="1") == "4930"
    assert priced_number("+49 (30)", prepend="+", called="1") == "4930"
    assert priced_number("abc", prepend="", called="1") == "1"
    assert priced_number("", prepend="", called="1") == "1"
