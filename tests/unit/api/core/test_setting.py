import datetime as dt

import pytest

from services.api.core.problems import Problem
from services.api.core.setting import SETTINGS, problems, view, views
from services.routing.core.snapshot import DEFAULT_MAX_CALL_S

AT = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def flaws(name: str, value: object) -> list[Problem]:
    return problems(name, value, name_at="name", value_at="value")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_call_s", 1),
        ("max_call_s", 31_536_000),
        ("reply_to_unknown", True),
        ("webhooks_allow_private", False),
    ],
)
def test_what_it_may_be(name: str, value: object) -> None:
    assert flaws(name, value) == []


@pytest.mark.parametrize(
    "value", ["abc", "600", 0, -1, 31_536_001, 600.0, float("nan"), True, None, [600], {"s": 1}]
)
def test_a_number_of_seconds_is_whole_and_in_bounds(value: object) -> None:
    assert flaws("max_call_s", value) == [
        Problem("value", "must be a whole number from 1 to 31536000")
    ]


@pytest.mark.parametrize("value", ["true", "", 1, 0, None, []])
def test_a_flag_is_true_or_false(value: object) -> None:
    for name in ("reply_to_unknown", "webhooks_allow_private"):
        assert flaws(name, value) == [Problem("value", "must be true or false")]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    (problem,) = flaws("max_cal_s", 600)
    assert (problem.where, problem.code) == ("name", "unknown_setting")
    assert "'max_cal_s'" in problem.reason
    assert all(name in problem.reason for name in SETTINGS)
    (endless,) = flaws("x" * 9999, 1)
    assert len(endless.reason) < 500


def test_defaults_are_acceptable_and_those_of_the_readers() -> None:
    for name, known in SETTINGS.items():
        assert flaws(name, known.default) == []
    assert SETTINGS["max_call_s"].default == DEFAULT_MAX_CALL_S


def test_one_that_is_not_set_shows_its_default() -> None:
    assert view("max_call_s", None) == {
        "name": "max_call_s",
        "value": 14_400,
        "is_set": False,
        "type": "integer",
        "default": 14_400,
        "minimum": 1,
        "maximum": 31_536_000,
        "meaning": SETTINGS["max_call_s"].meaning,
    }


def test_one_that_is_set_shows_its_value_beside_the_default() -> None:
    shown = view("reply_to_unknown", {"name": "reply_to_unknown", "value": True, "updated_at": AT})
    assert (shown["value"], shown["default"], shown["is_set"]) == (True, False, True)
    assert (shown["type"], shown["updated_at"]) == ("boolean", AT)


def test_the_list_has_all_known_ones_and_strays_by_name() -> None:
    shown = views([{"name": "old", "value": [1], "updated_at": AT}])
    assert [one["name"] for one in shown] == sorted([*SETTINGS, "old"])
    (stray,) = [one for one in shown if one["name"] == "old"]
    assert stray == {"name": "old", "value": [1], "is_set": True, "updated_at": AT}


def test_a_realm_needs_no_quoting() -> None:
    assert flaws("sip_realm", "sip.example") == []
    for value in ("", 'a"b', "a b", "a" * 65, "a\r\nb", 1, None, True):
        assert [one.where for one in flaws("sip_realm", value)] == ["value"]
    assert view("sip_realm", None)["value"] == "sip"
    assert view("sip_realm", None)["type"] == "string"


@pytest.mark.parametrize("value", ["MD5", "SHA-256,MD5", "SHA-512-256,SHA-256,MD5"])
def test_what_digest_may_offer(value: str) -> None:
    assert flaws("sip_digest_algorithms", value) == []


@pytest.mark.parametrize(
    "value", ["", "md5", "MD5,", "MD4", "MD5, SHA-256", "MD5,MD5,MD5,MD5", ["MD5"]]
)
def test_what_digest_may_not_offer(value: object) -> None:
    assert len(flaws("sip_digest_algorithms", value)) == 1


@pytest.mark.parametrize("value", ["", "49", "49,4420,1"])
def test_prefixes_are_digits_between_commas(value: str) -> None:
    assert flaws("trace_prefixes", value) == []


@pytest.mark.parametrize("value", ["+49", "49,", "49 30", "49, 30", 49, None, "1" * 33])
def test_what_is_no_prefix(value: object) -> None:
    assert len(flaws("trace_prefixes", value)) == 1
