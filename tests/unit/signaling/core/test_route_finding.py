"""Routing decided outside: the question, every kind of answer, and none."""

from __future__ import annotations

import msgspec
import pytest

from services.common.causes import EndReason
from services.common.sip_options.routing import CustomerRouting
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.commands import (
    Acknowledge,
    AskServer,
    Cancel,
    Command,
    FindRoutes,
    Respond,
)
from services.signaling.core.commands import Request as Dial
from services.signaling.core.offered_routes import Refusal
from services.signaling.core.reach import Reach
from services.signaling.core.targets import Choice, Service
from services.signaling.core.values import OfferedRoute
from services.signaling.sip.actions import Manner, Peer
from tests.support.signaling.machine import (
    OFFER,
    TRUNK,
    Machine,
    answer_to,
    context,
    kinds,
    only,
    received,
    response_in,
    wire_request,
)

SIP = "sip:192.0.2.80:5070"
HTTP = "http://192.0.2.80/routes"


def machine(server: str = SIP, **options: object) -> Machine:
    routing = CustomerRouting(server=server, timeout_ms=2_000, **options)  # type: ignore[arg-type]
    trunk = msgspec.structs.replace(TRUNK, sip=CustomerSip(routing=routing))
    return Machine(trunk=trunk, shared=context({"router.example": "192.0.2.81"}))


def asked(one: Machine) -> Dial:
    return only(one.start(), Dial)


def say(
    one: Machine, question: Dial, status: int, *lines: str, now: float = 100.5
) -> list[Command]:
    response = answer_to(question.draft, status, headers=lines, contact="")
    return one.take(one.call.on_response(question.owner, response, now))


def test_the_redirect_server_is_asked_with_the_callers_offer() -> None:
    question = asked(machine())
    invite = received(question.draft)
    assert question.peer == Peer("udp", "192.0.2.80", 5070)
    assert question.leg == "R"
    assert invite.uri == "sip:2000@192.0.2.80:5070"
    assert (invite.first("from") or "").startswith("<sip:1000@203.0.113.1:5060>;tag=")
    assert invite.first("x-customer-trunk") == "ctr_1"
    assert invite.first("x-call-id") == "cal_1"
    assert invite.max_forwards == 69
    assert invite.body == OFFER


def test_a_server_may_have_a_name_and_a_transport() -> None:
    question = asked(machine("sip:router.example;transport=tcp"))
    assert question.peer == Peer("tcp", "192.0.2.81", 5060)
    assert received(question.draft).uri == "sip:2000@router.example;transport=tcp"


def test_the_contacts_are_what_routing_may_choose_from() -> None:
    one = machine()
    contact = "Contact: <sip:4930@north>"
    find = only(say(one, asked(one), 302, contact), FindRoutes)
    offered = (OfferedRoute(vendor="north", called="4930"),)
    assert find == FindRoutes("ctr_1", "1000", "2000", frozenset(), offered)
    one.take(one.call.on_plan(one.plan, 101.0))
    assert kinds(one.take(one.call.on_credit(one.credit, 101.0))) == ["B1 INVITE"]


def test_a_refusal_is_the_servers_and_passes() -> None:
    one = machine()
    say(one, asked(one), 404)
    record = one.assert_ended(EndReason.ROUTING_SERVER_REFUSED, 404)
    assert record.attempts == ()


@pytest.mark.parametrize("status", [302, 401, 500, 503])
def test_nonsense_is_followed_by_our_own_routing(status: int) -> None:
    one = machine()
    find = only(say(one, asked(one), status), FindRoutes)
    assert (find.offered, find.note) == ((), "routing server gave no usable answer")


@pytest.mark.parametrize("status", [302, 503])
def test_nonsense_is_refused_when_the_option_says_so(status: int) -> None:
    one = machine(on_failure="refuse")
    say(one, asked(one), status)
    one.assert_ended(EndReason.ROUTING_SERVER_FAILED, 503)


def test_a_server_that_answers_the_call_is_hung_up_on() -> None:
    one = machine()
    contact = "Contact: <sip:router@192.0.2.80:5070>"
    commands = say(one, asked(one), 200, contact)
    assert kinds(commands) == ["Acknowledge", "R BYE", "FindRoutes"]
    assert only(commands, Acknowledge).leg == "R"


def test_a_server_that_is_down_costs_nothing_but_the_attempt() -> None:
    one = machine()
    question = asked(one)
    find = only(one.fail(question.owner, 503, 100.2), FindRoutes)
    assert find.note == "routing server cannot be reached"


def test_a_server_that_is_late_is_not_waited_for() -> None:
    one = machine()
    question = asked(one)
    assert one.call.deadline == 102.0
    say(one, question, 100)
    assert one.take(one.call.on_timer(101.9)) == []
    commands = one.take(one.call.on_timer(102.0))
    assert kinds(commands) == ["Cancel", "FindRoutes"]
    assert only(commands, Cancel).key == question.owner.key
    # Its answer, when it comes, is nobody's business; a 2xx has to be hung up.
    assert say(one, question, 302, "Contact: <sip:1@north>", now=103.0) == []
    assert kinds(say(one, question, 200, "Contact: <sip:r@192.0.2.80>")) == [
        "Acknowledge", "R BYE",
    ]  # fmt: skip


def test_the_caller_gives_up_while_the_server_thinks() -> None:
    one = machine()
    question = asked(one)
    commands = one.take(one.call.on_cancel(wire_request("CANCEL"), "invite", 101.0))
    assert kinds(commands)[:2] == ["Cancel", "A 487"]
    one.assert_ended(EndReason.CANCELLED, 487)
    assert say(one, question, 487) == []


def test_an_operator_ends_it_while_the_server_thinks() -> None:
    one = machine()
    asked(one)
    commands = one.take(one.call.hang_up(EndReason.ADMIN_DISCONNECT, 101.0))
    assert kinds(commands)[0] == "Cancel"
    one.assert_ended(EndReason.ADMIN_DISCONNECT, 503)


@pytest.mark.parametrize("server", ["sip:gone.example", "sip:203.0.113.1:5060"])
def test_a_server_that_has_no_address_or_is_ourselves_is_not_asked(server: str) -> None:
    one = machine(server)
    assert kinds(one.start()) == ["CallStarted", "FindRoutes"]


# --- several addresses ------------------------------------------------------------------------

UDP_1, UDP_2 = Peer("udp", "192.0.2.81", 5070), Peer("udp", "192.0.2.82", 5070)
TLS = Peer("tls", "192.0.2.83", 5061)


def located(
    *peers: Peer, server: str = "sip:router.example", sip: CustomerSip | None = None
) -> Machine:
    service = Service("router.example", "udp", "naptr")
    choices = tuple(Choice(rank, 1, (peer,)) for rank, peer in enumerate(peers))
    routing = CustomerRouting(server=server, timeout_ms=2_000)
    sip = msgspec.structs.replace(sip or CustomerSip(), routing=routing)
    shared = context()
    shared.reach = Reach({}, {service: choices}, draw=lambda: 0.0, own=shared.reach.own)
    return Machine(trunk=msgspec.structs.replace(TRUNK, sip=sip), shared=shared)


def test_the_server_is_found_by_naptr_and_srv() -> None:
    question = asked(located(TLS))
    assert question.peer == TLS._replace(manner=Manner("router.example"))
    assert received(question.draft).uri == "sip:2000@router.example"


@pytest.mark.parametrize("status", [408, 503])
def test_an_address_that_cannot_be_reached_is_followed_by_the_next(status: int) -> None:
    one = located(UDP_1, UDP_2)
    first = asked(one)
    second = only(one.fail(first.owner, status, 100.2), Dial)
    assert (first.peer, second.peer) == (UDP_1, UDP_2)
    assert received(first.draft).call_id != received(second.draft).call_id
    contact = "Contact: <sip:4930@north>"
    find = only(say(one, second, 302, contact), FindRoutes)
    assert find.offered == (OfferedRoute(vendor="north", called="4930"),)


def test_each_address_has_its_share_of_the_time() -> None:
    one = located(UDP_1, UDP_2, TLS)
    first = asked(one)
    assert one.call.deadline == pytest.approx(100.0 + 2.0 / 3)
    commands = one.take(one.call.on_timer(100.8))
    assert kinds(commands) == ["Cancel", "R INVITE"]
    assert only(commands, Cancel).key == first.owner.key
    assert one.call.deadline == pytest.approx(100.8 + 1.2 / 2)
    # The last one has all that is left.
    one.take(one.call.on_timer(101.5))
    assert one.call.deadline == 102.0
    commands = one.take(one.call.on_timer(102.0))
    assert kinds(commands) == ["Cancel", "FindRoutes"]
    assert only(commands, FindRoutes).note == "routing server did not answer in time"


def test_503_of_one_address_is_not_the_servers_word() -> None:
    one = located(UDP_1, UDP_2)
    second = only(say(one, asked(one), 503, "Retry-After: 60"), Dial)
    find = only(say(one, second, 503), FindRoutes)
    assert find.note == "routing server gave no usable answer"


def test_any_other_refusal_is_the_servers_word() -> None:
    one = located(UDP_1, UDP_2)
    say(one, asked(one), 404)
    one.assert_ended(EndReason.ROUTING_SERVER_REFUSED, 404)


def test_a_late_answer_of_the_first_address_is_as_good() -> None:
    one = located(UDP_1, UDP_2)
    first = asked(one)
    second = only(one.take(one.call.on_timer(101.0)), Dial)
    assert say(one, first, 487, now=101.1) == []
    commands = say(one, first, 302, "Contact: <sip:4930@north>", now=101.2)
    assert kinds(commands) == ["Cancel", "FindRoutes"]
    assert only(commands, Cancel).key == second.owner.key
    assert say(one, second, 302, "Contact: <sip:1@south>", now=101.3) == []
    assert one.fail(first.owner, 408, 132.0) == []


def test_an_address_that_failed_comes_last_for_a_while() -> None:
    one = located(UDP_1, UDP_2)
    one.fail(asked(one).owner, 408, 100.2)
    two = Machine(trunk=one.trunk, shared=one.context)
    assert asked(two).peer == UDP_2
    health = one.context.reach.health
    assert health.is_resting(("sip:router.example", UDP_1), 130.1)
    assert not health.is_resting(("sip:router.example", UDP_1), 130.2)


def test_the_caller_gives_up_between_two_addresses() -> None:
    one = located(UDP_1, UDP_2)
    first = asked(one)
    second = only(one.take(one.call.on_timer(101.0)), Dial)
    commands = one.take(one.call.on_cancel(wire_request("CANCEL"), "invite", 101.5))
    assert kinds(commands)[:2] == ["Cancel", "A 487"]
    assert only(commands, Cancel).key == second.owner.key
    assert one.fail(first.owner, 408, 132.0) == []


def test_our_own_address_is_none_of_the_servers() -> None:
    one = located(Peer("udp", "203.0.113.1", 5060), UDP_2)
    assert asked(one).peer == UDP_2


def test_the_question_leaves_from_the_customers_listener() -> None:
    question = asked(located(UDP_1, sip=CustomerSip(listener="203.0.113.1")))
    assert question.peer == UDP_1._replace(manner=Manner(listener="203.0.113.1"))


def test_an_http_server_is_asked_in_json() -> None:
    one = machine(HTTP)
    question = only(one.start(), AskServer)
    assert (question.url, question.timeout_ms) == (HTTP, 2_000)
    assert question.question == {
        "call_id": "cal_1",
        "customer_trunk": "ctr_1",
        "caller": "1000",
        "called": "2000",
        "source": "192.0.2.10:5060;udp",
    }
    find = only(one.take(one.call.on_ruling((OfferedRoute(vendor="north"),), 100.5)), FindRoutes)
    assert find.offered == (OfferedRoute(vendor="north"),)
    assert one.take(one.call.on_ruling(None, 100.6)) == []


def test_an_http_server_may_refuse_and_say_why() -> None:
    one = machine(HTTP)
    one.start()
    one.take(one.call.on_ruling(Refusal(480, 'no "way"\r\nX: y'), 100.5))
    record = one.assert_ended(EndReason.ROUTING_SERVER_REFUSED, 480)
    # For the operator; the customer is told the status.
    assert record.reason_header == 'no "way"X: y'
    refusal = only(one.history, Respond)
    assert response_in(refusal).first("reason") == "Q.850;cause=18"


def test_an_http_server_that_fails_or_is_late() -> None:
    one = machine(HTTP)
    one.start()
    assert kinds(one.take(one.call.on_timer(102.0))) == ["FindRoutes"]
    assert one.take(one.call.on_ruling((OfferedRoute(vendor="north"),), 103.0)) == []
    two = machine(HTTP, on_failure="refuse")
    two.start()
    two.take(two.call.on_ruling(None, 100.5))
    two.assert_ended(EndReason.ROUTING_SERVER_FAILED, 503)


def test_a_ruling_for_a_call_that_asked_nobody_changes_nothing() -> None:
    one = Machine()
    one.start()
    assert one.take(one.call.on_ruling((OfferedRoute(vendor="north"),), 100.5)) == []
