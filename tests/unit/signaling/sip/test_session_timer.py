"""Session timers, RFC 4028."""

import pytest

from services.signaling.sip.message import Request
from services.signaling.sip.session_timer import (
    SessionClock,
    SessionExpires,
    Terms,
    Wishes,
    agreed,
    asking_lines,
    grant,
    granted_lines,
    is_too_small,
    min_se,
    refreshing_lines,
    session_expires,
    supports,
)
from tests.support.signaling.machine import wire_request
from tests.support.sip_messages import response

ACCEPTS = Wishes(expires_s=1800, min_se_s=90, asks=False)
ASKS = ACCEPTS._replace(asks=True)


def invite(*headers: str) -> Request:
    return wire_request("INVITE", headers=headers)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Session-Expires: 600", SessionExpires(600, "")),
        ("x: 600;refresher=UAC", SessionExpires(600, "uac")),
        ("Session-Expires: 600 ; refresher=uas;x=y", SessionExpires(600, "uas")),
        ("Session-Expires: 600;refresher=me", SessionExpires(600, "")),
        ("Session-Expires: -1", None),
        ("Session-Expires: 99999999999", None),
        ("Session-Expires: soon", None),
        ("Subject: none", None),
    ],
)
def test_session_expires(line: str, found: SessionExpires | None) -> None:
    assert session_expires(invite(line)) == found


def test_min_se() -> None:
    assert min_se(invite()) == 90
    assert min_se(invite("Min-SE: 300")) == 300
    assert min_se(invite("Min-SE: 10")) == 90
    assert min_se(invite("Min-SE: much")) == 90


def test_supports() -> None:
    assert supports(invite("Supported: replaces, Timer"), "timer")
    assert supports(invite("Require: timer"), "timer")
    assert not supports(invite("k: replaces"), "timer")
    assert not supports(invite(), "timer")


def test_422_only_for_who_understands_it() -> None:
    strict = Wishes(1800, 600, asks=False)
    assert is_too_small(invite("Supported: timer", "Session-Expires: 599"), strict)
    assert not is_too_small(invite("Supported: timer", "Session-Expires: 600"), strict)
    assert not is_too_small(invite("Session-Expires: 100"), strict)
    assert not is_too_small(invite("Supported: timer"), strict)
    assert is_too_small(invite("Supported: timer", "Session-Expires: 60"), ACCEPTS)


@pytest.mark.parametrize(
    ("headers", "wishes", "terms"),
    [
        # RFC 4028 table 2, by what the caller knows and says
        (("Supported: timer", "Session-Expires: 600"), ACCEPTS, Terms(600, we_refresh=False)),
        (
            ("Supported: timer", "Session-Expires: 600;refresher=uac"),
            ACCEPTS,
            Terms(600, we_refresh=False),
        ),
        (
            ("Supported: timer", "Session-Expires: 600;refresher=uas"),
            ACCEPTS,
            Terms(600, we_refresh=True),
        ),
        (("Session-Expires: 600",), ACCEPTS, Terms(600, we_refresh=True)),
        (("Supported: timer",), ACCEPTS, None),
        ((), ACCEPTS, None),
        (("Supported: timer",), ASKS, Terms(1800, we_refresh=True)),
        ((), ASKS, Terms(1800, we_refresh=True)),
        # shortened to what we want, not below what he bears
        (("Supported: timer", "Session-Expires: 7200"), ACCEPTS, Terms(1800, we_refresh=False)),
        (
            ("Supported: timer", "Session-Expires: 7200", "Min-SE: 3600"),
            ACCEPTS,
            Terms(3600, we_refresh=False),
        ),
        (("Supported: timer", "Min-SE: 3600"), ASKS, Terms(3600, we_refresh=True)),
        (("Session-Expires: 1",), ACCEPTS, Terms(90, we_refresh=True)),
    ],
)
def test_what_is_granted(headers: tuple[str, ...], wishes: Wishes, terms: Terms | None) -> None:
    assert grant(invite(*headers), wishes) == terms


def test_what_a_2xx_says() -> None:
    knows, knows_not = invite("Supported: timer"), invite()
    assert granted_lines(knows, Terms(600, we_refresh=False)) == [
        "Session-Expires: 600;refresher=uac", "Require: timer", "Supported: timer",
    ]  # fmt: skip
    assert granted_lines(knows_not, Terms(600, we_refresh=True)) == [
        "Session-Expires: 600;refresher=uas"
    ]


def test_what_an_invite_says() -> None:
    assert asking_lines(ACCEPTS) == []
    assert asking_lines(ASKS) == ["Session-Expires: 1800"]
    assert asking_lines(ASKS._replace(min_se_s=300)) == ["Session-Expires: 1800", "Min-SE: 300"]
    assert asking_lines(ASKS, min_se_s=3600) == ["Session-Expires: 3600", "Min-SE: 3600"]


def test_what_a_refresh_says() -> None:
    assert refreshing_lines(Terms(600, we_refresh=True)) == [
        "Session-Expires: 600;refresher=uac", "Supported: timer",
    ]  # fmt: skip
    assert refreshing_lines(Terms(600, we_refresh=False), min_se_s=300) == [
        "Session-Expires: 600;refresher=uas", "Supported: timer", "Min-SE: 300",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "wishes", "terms"),
    [
        ("Session-Expires: 600;refresher=uac\r\n", ASKS, Terms(600, we_refresh=True)),
        ("Session-Expires: 600;refresher=uas\r\n", ACCEPTS, Terms(600, we_refresh=False)),
        ("Session-Expires: 600\r\n", ACCEPTS, Terms(600, we_refresh=True)),
        ("Session-Expires: 1;refresher=uas\r\n", ACCEPTS, Terms(90, we_refresh=False)),
        ("", ASKS, Terms(1800, we_refresh=True)),
        ("", ACCEPTS, None),
    ],
)
def test_what_is_agreed(extra: str, wishes: Wishes, terms: Terms | None) -> None:
    assert agreed(response(200, extra=extra), wishes) == terms


def test_the_refresher_acts_at_half_time_and_gives_up_ahead_of_the_end() -> None:
    clock = SessionClock(Terms(1800, we_refresh=True), 100.0)
    assert (clock.refresh_at, clock.ends_at, clock.deadline) == (1000.0, 1868.0, 1000.0)
    clock.restart(Terms(90, we_refresh=True), 1000.0)
    assert (clock.refresh_at, clock.ends_at) == (1045.0, 1060.0)  # a third of 90 is less than 32


def test_the_other_side_only_waits() -> None:
    clock = SessionClock(Terms(1800, we_refresh=False), 100.0)
    assert clock.deadline == 1868.0


def test_retries_halve_the_time_left() -> None:
    clock = SessionClock(Terms(1800, we_refresh=True), 0.0)
    clock.retry(900.0)
    assert clock.deadline == 900.0 + (1768.0 - 900.0) / 2
    clock.retry(1334.0, 2.5)
    assert clock.deadline == 1336.5
    clock.retry(1767.5)
    assert clock.deadline == 1768.0
