"""Where a call goes next: other addresses of a vendor, redirections, rests."""

from __future__ import annotations

import pytest

from services.common.causes import EndReason
from services.common.sip_options.dns import VendorDns
from services.common.sip_options.probe import VendorProbe
from services.common.sip_options.redirects import VendorRedirects
from services.common.sip_options.retry_after import VendorRetryAfter
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.commands import Request as Dial
from services.signaling.core.reach import Reach
from services.signaling.core.targets import Choice, Service
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.actions import Manner, Peer
from services.signaling.sip.listeners import Listeners, read_listeners
from tests.support.signaling.machine import (
    ANSWER,
    Machine,
    candidate,
    context,
    kinds,
    only,
    received,
)

FOLLOW = VendorSip(redirects=VendorRedirects(policy="follow", limit=3))
DOWN = VendorProbe(every_s=1, down_after=1)


def two_addresses(**changes: object) -> Machine:
    """A vendor with two addresses, then another vendor."""
    shared = context()
    names = {"sip.example": ("192.0.2.1", "192.0.2.2")}
    shared.reach = Reach(names, {}, draw=lambda: 0.0, own=shared.reach.own)
    return Machine(candidate(1, host="sip.example", **changes), candidate(2), shared=shared)


def redirecting(sip: VendorSip = FOLLOW) -> Machine:
    machine = Machine(candidate(1), candidate(2))
    machine.context.trunks = TrunkTable({}, vendors={"vtr_1": sip})
    return machine


def redirected(machine: Machine, invite: Dial, *contacts: str, status: int = 302) -> list[str]:
    lines = [f"Contact: {contact}" for contact in contacts]
    return kinds(machine.say(invite, status, 101.0, headers=lines, contact=False))


def last_dial(machine: Machine) -> Dial:
    dials = [each for each in machine.history if isinstance(each, Dial)]
    return dials[-1]


def attempts(machine: Machine) -> list[tuple[str, str, int, str]]:
    return [
        (each.vendor_trunk_id, each.target, each.sip_code, each.end_reason)
        for each in machine.record.attempts
    ]


# --- several addresses ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 503])
def test_the_next_address_of_the_same_vendor_is_tried_before_the_next_vendor(status: int) -> None:
    machine = two_addresses()
    first = machine.dial()
    second = only(machine.fail(first.owner, status, 101.0), Dial)
    assert (first.peer.host, second.peer.host) == ("192.0.2.1", "192.0.2.2")
    assert received(second.draft).uri == "sip:2000@sip.example"
    third = only(machine.fail(second.owner, status, 102.0), Dial)
    assert third.peer.host == "198.51.100.2"


def test_a_vendor_whose_listener_is_not_here_is_passed_over() -> None:
    machine = two_addresses()
    machine.context.trunks = TrunkTable({}, vendors={"vtr_1": VendorSip(listener="outside")})
    invite = machine.dial()
    assert invite.peer == Peer("udp", "198.51.100.2", 5060)
    assert [(each.target, each.end_reason) for each in machine.call.record.attempts] == [
        ("", EndReason.LISTENER_MISSING),
        ("198.51.100.2:5060;udp", ""),
    ]


def test_calls_to_a_vendor_leave_from_its_listener() -> None:
    sides = "203.0.113.1:5060,out@udp:203.0.113.2:5070"
    shared = context()
    shared.listeners = Listeners(read_listeners(sides, "", lambda _: ""))
    machine = Machine(candidate(1), shared=shared)
    machine.context.trunks = TrunkTable({}, vendors={"vtr_1": VendorSip(listener="out")})
    invite = machine.dial()
    assert invite.peer.manner == Manner(listener="out")
    assert received(invite.draft).headers("contact") == ["<sip:203.0.113.2:5070>"]
    assert received(invite.draft).from_.uri == "sip:1000@203.0.113.2:5070"


def test_a_503_is_followed_by_the_next_address() -> None:
    machine = two_addresses()
    first = machine.dial()
    second = only(machine.say(first, 503, 101.0), Dial)
    assert second.peer.host == "192.0.2.2"
    machine.say(second, 200, 102.0, body=ANSWER)
    machine.durable(102.0)
    machine.ack(102.0)
    bye = only(machine.caller_sends("BYE", 110.0), Dial)
    machine.reply(bye, 200, 110.0)
    assert attempts(machine) == [
        ("vtr_1", "192.0.2.1:5060;udp", 503, "rejected"),
        ("vtr_1", "192.0.2.2:5060;udp", 200, "normal"),
    ]


def test_silence_is_followed_by_the_next_address() -> None:
    machine = two_addresses(trying_timeout_ms=2_000)
    machine.dial()
    assert kinds(machine.take(machine.call.on_timer(102.0))) == ["Cancel", "B2 INVITE"]
    assert last_dial(machine).peer.host == "192.0.2.2"


@pytest.mark.parametrize("status", [403, 480, 500, 502])
def test_any_other_refusal_is_the_vendors_own(status: int) -> None:
    machine = two_addresses()
    second = only(machine.say(machine.dial(), status, 101.0), Dial)
    assert second.peer.host == "198.51.100.2"


def test_one_that_rang_too_long_is_not_asked_at_another_address() -> None:
    machine = two_addresses(ringing_timeout_ms=30_000)
    machine.say(machine.dial(), 180, 101.0)
    machine.take(machine.call.on_timer(130.0))
    assert last_dial(machine).peer.host == "198.51.100.2"


def test_further_addresses_count_against_the_vendors_own_limits() -> None:
    machine = two_addresses(max_calls=1, max_cps=1)
    first = machine.dial()
    third = only(machine.fail(first.owner, 503, 100.5), Dial)
    assert third.peer.host == "198.51.100.2"
    record = machine.call.record
    assert [each.end_reason for each in record.attempts][:2] == [
        "vendor_unreachable",
        "vendor_cps",
    ]
    assert machine.context.vendor_limits.calls("vtr_1") == 0


def test_a_place_is_given_back_when_the_next_address_is_tried() -> None:
    machine = two_addresses(max_calls=1)
    second = only(machine.fail(machine.dial().owner, 503, 100.5), Dial)
    assert second.peer.host == "192.0.2.2"
    assert machine.context.vendor_limits.calls("vtr_1") == 1


def test_srv_decides_port_and_transport_and_the_uri_keeps_the_name() -> None:
    shared = context()
    peers = (Peer("tcp", "192.0.2.7", 5071), Peer("udp", "192.0.2.8", 5072))
    choices = tuple(Choice(rank, 1, (peer,)) for rank, peer in enumerate(peers))
    service = Service("sip.example", "udp", "naptr")
    shared.reach = Reach({}, {service: choices}, draw=lambda: 0.0)
    options = VendorSip(dns=VendorDns(lookup="naptr"))
    shared.trunks = TrunkTable({}, vendors={"vtr_1": options})
    machine = Machine(candidate(1, host="sip.example", port=5099), shared=shared)
    first = machine.dial()
    invite = received(first.draft)
    assert first.peer == peers[0]
    assert invite.uri == "sip:2000@sip.example;transport=tcp"
    assert invite.first("contact") == "<sip:203.0.113.1:5060;transport=tcp>"
    second = only(machine.say(first, 503, 101.0), Dial)
    assert (second.peer, received(second.draft).uri) == (peers[1], "sip:2000@sip.example")


def test_in_dialog_requests_stay_with_the_address_that_answered() -> None:
    machine = two_addresses()
    first = machine.dial()
    second = only(machine.say(first, 503, 101.0), Dial)
    machine.say(second, 200, 102.0, body=ANSWER, headers=["Contact: <sip:gw@sip.example>"],
                contact=False)  # fmt: skip
    machine.durable(102.0)
    machine.ack(102.0)
    bye = only(machine.caller_sends("BYE", 110.0), Dial)
    assert bye.peer == second.peer


# --- left alone --------------------------------------------------------------------------------


def test_an_address_that_is_down_is_left_out() -> None:
    machine = two_addresses()
    health = machine.context.reach.health
    health.on_probe(("vtr_1", Peer("udp", "192.0.2.1", 5060)), DOWN, "silence", 99.0)
    assert machine.dial().peer.host == "192.0.2.2"


def test_a_vendor_that_is_down_is_skipped_and_its_attempt_says_so() -> None:
    machine = Machine(candidate(1))
    health = machine.context.reach.health
    health.on_probe(("vtr_1", Peer("udp", "198.51.100.1", 5060)), DOWN, "silence", 99.0)
    machine.start()
    machine.take(machine.call.on_plan(machine.plan, 100.0))
    machine.take(machine.call.on_credit(machine.credit, 100.0))
    machine.assert_ended(EndReason.VENDOR_DOWN, 503)
    assert attempts(machine) == [("vtr_1", "198.51.100.1:5060;udp", 0, "vendor_down")]


def test_retry_after_of_a_503_is_obeyed_by_all_calls_until_it_is_over() -> None:
    shared = context()
    machine = Machine(candidate(1), candidate(2), shared=shared)
    machine.say(machine.dial(), 503, 101.0, headers=["Retry-After: 20"])
    early = Machine(candidate(1), candidate(2), shared=shared)
    assert early.dial(120.9).peer.host == "198.51.100.2"
    assert early.call.record.attempts[0].end_reason == EndReason.VENDOR_BACKOFF
    late = Machine(candidate(1), candidate(2), shared=shared)
    assert late.dial(121.0).peer.host == "198.51.100.1"


@pytest.mark.parametrize(("longest_s", "until"), [(5, 106.0), (0, 101.0)])
def test_retry_after_is_bounded_by_the_option(longest_s: int, until: float) -> None:
    machine = Machine(candidate(1), candidate(2))
    options = VendorSip(retry_after=VendorRetryAfter(longest_s=longest_s))
    machine.context.trunks = TrunkTable({}, vendors={"vtr_1": options})
    machine.say(machine.dial(), 503, 101.0, headers=["Retry-After: 4000000000"])
    peer = Peer("udp", "198.51.100.1", 5060)
    health = machine.context.reach.health
    assert health.is_resting(("vtr_1", peer), until - 0.1) is (longest_s > 0)
    assert health.trouble("vtr_1", peer, until) is None


# --- redirections ------------------------------------------------------------------------------


def test_a_redirection_is_refused_unless_the_option_says_otherwise() -> None:
    machine = redirecting(VendorSip())
    assert redirected(machine, machine.dial(), "<sip:1@192.0.2.5>") == ["B2 INVITE"]
    assert last_dial(machine).peer.host == "198.51.100.2"


def test_contacts_become_targets_of_the_same_vendor_best_q_first() -> None:
    machine = redirecting()
    first = machine.dial()
    contacts = ("<sip:31@192.0.2.5:5070>;q=0.5", "<sip:32@192.0.2.6;transport=tcp>;q=0.7")
    assert redirected(machine, first, *contacts) == ["B2 INVITE"]
    second = last_dial(machine)
    assert second.peer == Peer("tcp", "192.0.2.6", 5060)
    assert received(second.draft).uri == "sip:32@192.0.2.6;transport=tcp"
    machine.say(second, 480, 102.0)
    third = last_dial(machine)
    assert received(third.draft).uri == "sip:31@192.0.2.5:5070"
    machine.say(third, 486, 103.0)
    machine.assert_ended(EndReason.BUSY, 486)
    assert attempts(machine) == [
        ("vtr_1", "198.51.100.1:5060;udp", 302, "redirected"),
        ("vtr_1", "192.0.2.6:5060;tcp", 480, "no_answer"),
        ("vtr_1", "192.0.2.5:5070;udp", 486, "busy"),
    ]


def test_a_secure_contact_is_called_over_tls_for_its_own_name() -> None:
    machine = redirecting()
    names = {"gw.example": ("192.0.2.5",)}
    machine.context.reach = Reach(names, {}, draw=lambda: 0.0)
    redirected(machine, machine.dial(), "<sips:1@GW.example>")
    second = last_dial(machine)
    assert second.peer[:3] == ("tls", "192.0.2.5", 5061)
    assert second.peer.manner is not None
    assert (second.peer.manner.name, second.peer.manner.is_verified) == ("gw.example", True)


def test_a_call_that_is_secure_is_not_redirected_to_where_it_is_not() -> None:
    machine = Machine(candidate(1, transport="tls", port=5061), candidate(2))
    machine.context.trunks = TrunkTable({}, vendors={"vtr_1": FOLLOW})
    redirected(machine, machine.dial(), "<sip:1@192.0.2.5>")
    assert last_dial(machine).peer.host == "198.51.100.2"


def test_the_next_vendor_follows_when_no_contact_takes_the_call() -> None:
    machine = redirecting()
    redirected(machine, machine.dial(), "<sip:1@192.0.2.5>")
    machine.say(last_dial(machine), 500, 102.0)
    assert last_dial(machine).peer.host == "198.51.100.2"


def test_headers_of_a_contact_never_reach_our_request() -> None:
    machine = redirecting()
    redirected(machine, machine.dial(), "<sip:1@192.0.2.5?Route=%3Csip:evil%3E&X=1>")
    invite = received(last_dial(machine).draft)
    assert invite.uri == "sip:1@192.0.2.5"
    assert not invite.has("route")
    assert b"evil" not in last_dial(machine).draft.wire("Via: SIP/2.0/UDP a;branch=z9hG4bK1")


@pytest.mark.parametrize(
    "contact",
    [
        "<sip:1@203.0.113.1>",  # ourselves
        "<sip:2000@198.51.100.1>",  # where we come from
        "<sip:1@unknown.example>",
        "<sip:1@192.0.2.5;transport=sctp>",
        f"<sip:{'4' * 65}@192.0.2.5>",
        "<sip:4%0D%0A@192.0.2.5>",
        "<tel:+49>",
    ],
)
def test_what_cannot_or_must_not_be_followed_is_a_refusal(contact: str) -> None:
    machine = redirecting()
    redirected(machine, machine.dial(), contact)
    assert last_dial(machine).peer.host == "198.51.100.2"
    assert machine.call.record.attempts[0].end_reason == EndReason.REJECTED


def test_redirections_that_go_round_end_at_the_limit() -> None:
    machine = redirecting()
    invite = machine.dial()
    for number in range(5, 9):
        redirected(machine, invite, f"<sip:1@192.0.2.{number}>", "<sip:2000@198.51.100.1>")
        invite = last_dial(machine)
    hosts = [each.candidate.host for each in machine.call.record.attempts]
    assert hosts == ["198.51.100.1", "192.0.2.5", "192.0.2.6", "192.0.2.7", "198.51.100.2"]


@pytest.mark.parametrize("status", [305, 380])
def test_use_proxy_and_alternative_service_are_not_followed(status: int) -> None:
    machine = redirecting()
    redirected(machine, machine.dial(), "<sip:1@192.0.2.5>", status=status)
    assert last_dial(machine).peer.host == "198.51.100.2"


def test_a_stop_code_stops_even_a_redirection() -> None:
    machine = Machine(candidate(1, stop_codes=(302,)), candidate(2))
    machine.context.trunks = TrunkTable({}, vendors={"vtr_1": FOLLOW})
    redirected(machine, machine.dial(), "<sip:1@192.0.2.5>")
    record = machine.assert_ended(EndReason.REJECTED, 503)
    assert len(record.attempts) == 1
