"""Timers A to K of RFC 3261 (table 4), L and M of RFC 6026, to the instant, one test each."""

from __future__ import annotations

from typing import Protocol

from services.common.sip_options.trunk import DEFAULT_VENDOR
from services.signaling.core.values import Candidate
from services.signaling.sip.actions import Action, DeliverRequest, Fail, Send
from services.signaling.sip.build import Reply
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Response, parse
from services.signaling.sip.transaction.invite_client import InviteClientTransaction
from services.signaling.sip.transaction.invite_server import InviteServerTransaction
from services.signaling.sip.transaction.non_invite_client import NonInviteClientTransaction
from services.signaling.sip.transaction.non_invite_server import NonInviteServerTransaction
from services.signaling.sip.transaction.states import State
from services.signaling.sip.transaction.timers import NEVER
from tests.support.sip_messages import ALICE, BOB, INVITE, TCP, invite_draft, response

WIRE = invite_draft().wire("Via: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bK0")
BUSY, ANSWER = Reply(486, b"486", "t"), Reply(200, b"200", "t")


class Machine(Protocol):
    state: State

    @property
    def deadline(self) -> float: ...

    def on_timer(self, now: float) -> list[Action]: ...


def run_out(machine: Machine) -> list[tuple[float, Action | State]]:
    """What each timer does and when, and when the machine terminates."""
    seen: list[tuple[float, Action | State]] = []
    while (now := machine.deadline) != NEVER:
        assert machine.on_timer(now - 0.001) == []  # not a moment earlier
        seen += [(now, action) for action in machine.on_timer(now)]
        if machine.state is State.TERMINATED:
            seen.append((now, State.TERMINATED))
    return seen


def sends(seen: list[tuple[float, Action | State]]) -> list[float]:
    return [at for at, action in seen if isinstance(action, Send)]


def test_timer_a_repeats_an_invite_at_t1_and_doubles_without_ceiling() -> None:
    machine = InviteClientTransaction(WIRE, "k", BOB)
    machine.start(0.0)
    assert sends(run_out(machine)) == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]


def test_timer_a_does_not_run_over_tcp() -> None:
    machine = InviteClientTransaction(WIRE, "k", TCP)
    machine.start(0.0)
    assert sends(run_out(machine)) == []


def test_timer_b_gives_an_invite_up_after_64_t1() -> None:
    for peer in (BOB, TCP):
        machine = InviteClientTransaction(WIRE, "k", peer)
        machine.start(0.0)
        assert run_out(machine)[-2:] == [(32.0, Fail("k", 408)), (32.0, State.TERMINATED)]


def test_timer_c_is_the_ringing_timeout_of_the_vendor() -> None:
    # A proxy's own, "larger than 3 minutes"; here a vendor's trunk says how long it may ring.
    assert Candidate(vendor_trunk_id="v", account_id="a", host="h").ringing_timeout_ms == 120_000
    assert DEFAULT_VENDOR.timeouts.progress_ms == 0
    machine = InviteClientTransaction(WIRE, "k", BOB)
    machine.start(0.0)
    machine.on_response(response(180), 1.0)
    assert machine.deadline == NEVER


def test_timer_d_absorbs_repeated_refusals_for_32_s_and_not_at_all_over_tcp() -> None:
    machine = InviteClientTransaction(WIRE, "k", BOB)
    machine.start(0.0)
    machine.on_response(response(486), 1.0)
    assert len(machine.on_response(response(486), 32.9)) == 1  # the ACK again, nothing delivered
    assert run_out(machine) == [(33.0, State.TERMINATED)]
    machine = InviteClientTransaction(WIRE, "k", TCP)
    machine.start(0.0)
    machine.on_response(response(486), 1.0)
    assert machine.state is State.TERMINATED


def test_timer_e_repeats_a_request_at_t1_doubling_to_t2() -> None:
    client = NonInviteClientTransaction(b"BYE", "k", BOB)
    client.start(0.0)
    assert sends(run_out(client)) == [
        0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5,
    ]  # fmt: skip


def test_timer_e_runs_at_t2_once_something_was_heard() -> None:
    client = NonInviteClientTransaction(b"BYE", "k", BOB)
    client.start(0.0)
    client.on_response(response(100, cseq="1 BYE"), 0.2)
    assert sends(run_out(client)) == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]


def test_timer_f_gives_a_request_up_after_64_t1() -> None:
    for peer in (BOB, TCP):
        client = NonInviteClientTransaction(b"BYE", "k", peer)
        client.start(0.0)
        assert run_out(client)[-2:] == [(32.0, Fail("k", 408)), (32.0, State.TERMINATED)]


def test_timer_g_repeats_a_refusal_at_t1_doubling_to_t2() -> None:
    server = InviteServerTransaction("k", ALICE, ALICE)
    server.respond(BUSY, 0.0)
    assert sends(run_out(server)) == [
        0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5,
    ]  # fmt: skip
    server = InviteServerTransaction("k", TCP, TCP)
    server.respond(BUSY, 0.0)
    assert sends(run_out(server)) == []


def test_timer_h_waits_64_t1_for_the_ack_of_a_refusal() -> None:
    for peer in (ALICE, TCP):
        server = InviteServerTransaction("k", peer, peer)
        server.respond(BUSY, 0.0)
        assert run_out(server)[-1] == (32.0, State.TERMINATED)


def test_timer_i_absorbs_repeated_acks_for_t4_and_not_at_all_over_tcp() -> None:
    server = InviteServerTransaction("k", ALICE, ALICE)
    server.respond(BUSY, 0.0)
    server.on_ack(1.0)
    assert run_out(server) == [(6.0, State.TERMINATED)]
    server = InviteServerTransaction("k", TCP, TCP)
    server.respond(BUSY, 0.0)
    server.on_ack(1.0)
    assert server.state is State.TERMINATED


def test_timer_j_repeats_a_response_on_request_for_64_t1_and_not_at_all_over_tcp() -> None:
    server = NonInviteServerTransaction("k", ALICE)
    server.respond(ANSWER, 1.0)
    assert server.on_request() == [Send(b"200", ALICE)]
    assert run_out(server) == [(33.0, State.TERMINATED)]
    server = NonInviteServerTransaction("k", TCP)
    server.respond(ANSWER, 1.0)
    assert server.state is State.TERMINATED


def test_timer_k_absorbs_repeated_responses_for_t4_and_not_at_all_over_tcp() -> None:
    client = NonInviteClientTransaction(b"BYE", "k", BOB)
    client.start(0.0)
    client.on_response(response(200, cseq="1 BYE"), 1.0)
    assert client.on_response(response(200, cseq="1 BYE"), 5.9) == []
    assert run_out(client) == [(6.0, State.TERMINATED)]
    client = NonInviteClientTransaction(b"BYE", "k", TCP)
    client.start(0.0)
    client.on_response(response(200, cseq="1 BYE"), 1.0)
    assert client.state is State.TERMINATED


def test_timer_l_absorbs_repeated_invites_for_64_t1_after_a_2xx() -> None:
    for peer in (ALICE, TCP):
        server = InviteServerTransaction("k", peer, peer)
        server.respond(ANSWER, 1.0)
        assert server.on_request() == []
        assert run_out(server) == [(33.0, State.TERMINATED)]


def test_timer_m_absorbs_repeated_2xx_for_64_t1() -> None:
    for peer in (BOB, TCP):
        machine = InviteClientTransaction(WIRE, "k", peer)
        machine.start(0.0)
        machine.on_response(response(200), 1.0)
        assert machine.on_response(response(200), 32.9) == []
        assert run_out(machine) == [(33.0, State.TERMINATED)]


def test_100_goes_out_within_the_200_ms_of_section_17_2_1() -> None:
    layer = TransactionLayer(sent_by="192.0.2.10:5060", ids=lambda: "x")
    first, second = layer.on_message(INVITE, ALICE, 5.0)
    assert isinstance(first, Send)
    assert isinstance(second, DeliverRequest)
    trying = parse(first.data)
    assert isinstance(trying, Response)
    assert trying.status == 100
