"""What is required of us, and what we require."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.common.sip_options.reliable import Reliable
from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.commands import Respond
from services.signaling.core.extensions import asked_for
from tests.support.signaling.machine import OFFER, kinds, only, response_in, wire_request
from tests.support.signaling.options import machine

RELIABLE = CustomerSip(reliable=Reliable(mode="supported"))
TIMED = CustomerSip(session_timer=SessionTimer(mode="accept", min_se_s=300))


@pytest.mark.parametrize(
    ("customer", "header", "status", "told"),
    [
        (CustomerSip(), "Require: 100rel", 420, ("unsupported", "100rel")),
        (CustomerSip(), "Require: 100rel, timer", 420, ("unsupported", "100rel, timer")),
        (RELIABLE, "Require: Timer", 420, ("unsupported", "timer")),
        (TIMED, "Require: 100rel", 420, ("unsupported", "100rel")),
        (
            CustomerSip(reliable=Reliable(mode="required")),
            "Supported: timer",
            421,
            ("require", "100rel"),
        ),
        (TIMED, "Supported: timer\r\nSession-Expires: 120", 422, ("min-se", "300")),
        (CustomerSip(), "Replaces: a@b;to-tag=1;from-tag=2", 481, ("reason", "Q.850;cause=41")),
    ],
)
def test_what_a_trunk_does_not_do_is_refused(
    customer: CustomerSip, header: str, status: int, told: tuple[str, str]
) -> None:
    invite = wire_request("INVITE", body=OFFER, headers=header.split("\r\n"))
    subject = machine(customer=customer, invite=invite)
    steps = subject.start()
    assert kinds(steps) == [f"A {status}", "CallEnded", "Finished"]
    assert response_in(only(steps, Respond)).first(told[0]) == told[1]
    subject.assert_ended(EndReason.UNSUPPORTED, status)


@pytest.mark.parametrize(
    ("customer", "header"),
    [
        (RELIABLE, "Require: 100rel"),
        (TIMED, "Require: timer"),
        (TIMED, "Session-Expires: 120"),  # he could do nothing with a 422
        (CustomerSip(), "Session-Expires: 1"),
        (CustomerSip(reliable=Reliable(mode="required")), "Supported: 100rel"),
    ],
)
def test_what_a_trunk_does_goes_on(customer: CustomerSip, header: str) -> None:
    invite = wire_request("INVITE", body=OFFER, headers=[header])
    assert "FindRoutes" in kinds(machine(customer=customer, invite=invite).start())


def test_what_is_asked_of_a_vendor() -> None:
    assert asked_for(VendorSip(), is_reliable=True) == []
    both = VendorSip(
        reliable=Reliable(mode="supported"),
        session_timer=SessionTimer(mode="request", expires_s=600, min_se_s=120),
    )
    assert asked_for(both, is_reliable=True) == [
        "Session-Expires: 600", "Min-SE: 120", "Supported: 100rel, timer",
    ]  # fmt: skip
    assert asked_for(both, is_reliable=False)[-1] == "Supported: timer"
    assert asked_for(VendorSip(reliable=Reliable(mode="required")), is_reliable=True) == [
        "Require: 100rel"
    ]
    accepts = VendorSip(session_timer=SessionTimer(mode="accept"))
    assert asked_for(accepts, is_reliable=True) == ["Supported: timer"]


def test_timer_required_inside_a_dialog_that_has_none() -> None:
    subject = machine()
    subject.answer()
    steps = subject.caller_sends("INVITE", 110.0, body=OFFER, headers=["Require: timer"])
    assert kinds(steps) == ["A 420"]
    assert response_in(only(steps, Respond)).first("unsupported") == "timer"
