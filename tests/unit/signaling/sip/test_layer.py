from collections.abc import Callable
from itertools import count

from services.signaling.sip.actions import (
    Action,
    Cancelled,
    DeliverAck,
    DeliverRequest,
    DeliverResponse,
    Fail,
    NoAck,
    Peer,
    Refused,
    Send,
    Terminated,
)
from services.signaling.sip.build import request, response_to
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Request, Response, parse
from tests.support.sip_messages import ALICE, BOB, INVITE, TCP, edited, invite_draft


def ids() -> Callable[[], str]:
    numbers = count()
    return lambda: str(next(numbers))


def layer(*, max_transactions: int = 100) -> TransactionLayer:
    return TransactionLayer(
        sent_by="198.51.100.7:5060", ids=ids(), max_transactions=max_transactions
    )


def server() -> TransactionLayer:
    return TransactionLayer(sent_by="192.0.2.10:5060", ids=ids())


def sent(actions: list[Action]) -> list[Request | Response]:
    return [parse(action.data) for action in actions if isinstance(action, Send)]


def statuses(actions: list[Action]) -> list[int]:
    return [message.status for message in sent(actions) if isinstance(message, Response)]


def delivered(actions: list[Action]) -> DeliverRequest:
    found = [action for action in actions if isinstance(action, DeliverRequest)]
    assert len(found) == 1, actions
    return found[0]


def run_out(subject: TransactionLayer) -> list[tuple[float, Action]]:
    seen: list[tuple[float, Action]] = []
    while (now := subject.deadline) is not None:
        seen += [(now, action) for action in subject.on_timer(now)]
    return seen


def as_method(method: bytes) -> bytes:
    """An ACK or CANCEL of INVITE, on its branch."""
    return edited((b"INVITE sip", method + b" sip"), (b"1 INVITE", b"1 " + method))


# --- receiving ------------------------------------------------------------------------------


def test_a_new_invite_gets_100_at_once_and_is_delivered() -> None:
    actions = server().on_message(INVITE, ALICE, 0.0)
    assert statuses(actions) == [100]
    assert sent(actions)[0].first("via") == (
        "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-524287-1---a1b2c3;rport=5060"
        ";received=198.51.100.7"
    )
    arrival = delivered(actions)
    assert arrival.request.method == "INVITE"
    assert arrival.source == ALICE


def test_a_stranger_is_refused_without_state() -> None:
    uas = server()
    actions = uas.on_message(INVITE, ALICE, 0.0, is_stranger=True)
    assert statuses(actions) == []
    arrival = delivered(actions)
    reply = response_to(arrival.request, 401, to_tag="t")
    assert uas.refuse(arrival.key, reply) == [Send(reply.data, ALICE)]
    assert uas.refuse(arrival.key, reply) == []
    assert (uas.transaction_count, uas.deadline) == (0, None)
    # His repetition is a new request, and so is the next one with his proof.
    assert delivered(uas.on_message(INVITE, ALICE, 0.5, is_stranger=True)).source == ALICE


def test_a_parsed_message_is_taken_too() -> None:
    assert delivered(server().on_message(parse(INVITE), ALICE, 0.0)).source == ALICE


def test_retransmissions_are_absorbed() -> None:
    uas = server()
    arrival = delivered(uas.on_message(INVITE, ALICE, 0.0))
    assert statuses(uas.on_message(INVITE, ALICE, 0.5)) == [100]
    uas.respond(arrival.key, response_to(arrival.request, 180, to_tag="t"), 0.6)
    assert statuses(uas.on_message(INVITE, ALICE, 1.5)) == [180]
    uas.respond(arrival.key, response_to(arrival.request, 486, to_tag="t"), 2.0)
    assert statuses(uas.on_message(INVITE, ALICE, 3.5)) == [486]


def test_a_refusal_is_acknowledged_hop_by_hop() -> None:
    uas = server()
    arrival = delivered(uas.on_message(INVITE, ALICE, 0.0))
    uas.respond(arrival.key, response_to(arrival.request, 486, to_tag="t"), 1.0)
    assert uas.on_message(as_method(b"ACK"), ALICE, 1.2) == []
    assert run_out(uas) == [(6.2, Terminated(arrival.key))]
    assert uas.transaction_count == 0


def test_an_answer_is_repeated_until_its_ack_which_is_delivered_once() -> None:
    uas = server()
    arrival = delivered(uas.on_message(INVITE, ALICE, 0.0))
    uas.respond(arrival.key, response_to(arrival.request, 200, to_tag="t"), 1.0)
    assert statuses(uas.on_timer(1.5)) == [200]
    ack = edited(
        (b"INVITE sip", b"ACK sip"),
        (b"1 INVITE", b"1 ACK"),
        (b"192.0.2.10>\r\nCall", b"192.0.2.10>;tag=t\r\nCall"),
        (b"a1b2c3", b"other"),
    )
    stranger = ack.replace(b";tag=t\r\n", b";tag=u\r\n")
    assert uas.on_message(stranger, ALICE, 1.6) == []
    (action,) = uas.on_message(ack, ALICE, 1.6)
    assert isinstance(action, DeliverAck)
    assert (action.key, action.request.body) == (arrival.key, b"v=0\r\n")
    assert uas.on_message(ack, ALICE, 1.7) == []
    assert run_out(uas) == [(33.0, Terminated(arrival.key))]


def test_the_ack_of_an_answer_on_the_branch_of_its_invite_is_understood() -> None:
    uas = server()
    arrival = delivered(uas.on_message(INVITE, ALICE, 0.0))
    uas.respond(arrival.key, response_to(arrival.request, 200, to_tag="t"), 1.0)
    ack = as_method(b"ACK").replace(b"192.0.2.10>\r\nCall", b"192.0.2.10>;tag=t\r\nCall")
    assert isinstance(uas.on_message(ack, ALICE, 1.6)[0], DeliverAck)


def test_an_answer_nobody_acknowledges_is_reported() -> None:
    uas = server()
    arrival = delivered(uas.on_message(INVITE, ALICE, 0.0))
    uas.respond(arrival.key, response_to(arrival.request, 200, to_tag="t"), 1.0)
    seen = run_out(uas)
    assert [at for at, action in seen if isinstance(action, Send)][:4] == [1.5, 2.5, 4.5, 8.5]
    assert {action for _, action in seen[-2:]} == {NoAck(arrival.key), Terminated(arrival.key)}
    assert {at for at, _ in seen[-2:]} == {33.0}
    assert uas.transaction_count == 0


def test_a_cancel_is_answered_and_reported_once() -> None:
    uas = server()
    arrival = delivered(uas.on_message(INVITE, ALICE, 0.0))
    uas.respond(arrival.key, response_to(arrival.request, 180, to_tag="t"), 0.5)
    actions = uas.on_message(as_method(b"CANCEL"), ALICE, 1.0)
    assert statuses(actions) == [200]
    assert sent(actions)[0].to_tag == "t"
    assert [action.key for action in actions if isinstance(action, Cancelled)] == [arrival.key]
    assert statuses(again := uas.on_message(as_method(b"CANCEL"), ALICE, 1.1)) == [200]
    assert len(again) == 1
    assert statuses(
        uas.respond(arrival.key, response_to(arrival.request, 487, to_tag="t"), 1.2)
    ) == [487]


def test_a_cancel_after_the_final_response_changes_nothing() -> None:
    uas = server()
    arrival = delivered(uas.on_message(INVITE, ALICE, 0.0))
    uas.respond(arrival.key, response_to(arrival.request, 200, to_tag="t"), 1.0)
    actions = uas.on_message(as_method(b"CANCEL"), ALICE, 1.0)
    assert (statuses(actions), len(actions)) == ([200], 1)


def test_a_cancel_from_elsewhere_or_for_nothing_is_refused() -> None:
    uas = server()
    assert statuses(uas.on_message(as_method(b"CANCEL"), ALICE, 0.0)) == [481]
    uas.on_message(INVITE, ALICE, 0.0)
    stranger = Peer("udp", "203.0.113.66", 5060)
    assert statuses(uas.on_message(as_method(b"CANCEL"), stranger, 1.0)) == [481]
    assert len(uas.on_message(as_method(b"CANCEL"), stranger, 1.0)) == 1


def test_the_same_request_over_another_path_is_a_loop() -> None:
    uas = server()
    arrival = delivered(uas.on_message(INVITE, ALICE, 0.0))
    twin = edited((b"a1b2c3", b"twin"))
    assert statuses(uas.on_message(twin, ALICE, 0.1)) == [482]
    uas.respond(arrival.key, response_to(arrival.request, 503, to_tag="t"), 1.0)
    assert delivered(uas.on_message(twin, ALICE, 1.1)).source == ALICE


def test_requests_without_cookie_are_told_apart_by_all_the_rest() -> None:
    uas = server()
    old = edited((b"branch=z9hG4bK-524287-1---a1b2c3;", b""))
    bare = edited((b"z9hG4bK-524287-1---a1b2c3", b"z9hG4bK"), (b"1j9FpLxk3uxtm8tn", b"other"))
    arrival = delivered(uas.on_message(old, ALICE, 0.0))
    assert statuses(uas.on_message(old, ALICE, 0.5)) == [100]
    assert delivered(uas.on_message(bare, ALICE, 0.5)).key != arrival.key
    uas.respond(arrival.key, response_to(arrival.request, 486, to_tag="t"), 1.0)
    ack = (
        old.replace(b"INVITE sip", b"ACK sip")
        .replace(b"1 INVITE", b"1 ACK")
        .replace(b"192.0.2.10>\r\nCall", b"192.0.2.10>;tag=t\r\nCall")
    )
    assert uas.on_message(ack, ALICE, 1.1) == []
    assert (6.1, Terminated(arrival.key)) in run_out(uas)


def test_responses_go_where_rfc_3581_says() -> None:
    nat = Peer("udp", "203.0.113.5", 31234, 2)

    def target(data: bytes, source: Peer) -> Peer:
        (action,) = [a for a in server().on_message(data, source, 0.0) if isinstance(a, Send)]
        return action.peer

    assert target(INVITE, nat) == nat
    assert target(edited((b";rport", b"")), nat) == Peer("udp", "203.0.113.5", 5060, 2)
    elsewhere = edited(
        (b"198.51.100.7:5060;branch", b"198.51.100.7;maddr=6.6.6.6;branch"), (b";rport", b"")
    )
    assert target(elsewhere, nat) == Peer("udp", "203.0.113.5", 5060, 2)
    assert target(edited((b"SIP/2.0/UDP", b"SIP/2.0/TCP")), TCP) == TCP


def test_a_full_house_sheds_calls_but_no_byes() -> None:
    uas = layer(max_transactions=1)
    delivered(uas.on_message(INVITE, ALICE, 0.0))
    second = edited((b"a1b2c3", b"2"), (b"1j9F", b"2"))
    assert statuses(uas.on_message(second, ALICE, 0.0)) == [503]
    bye = edited((b"INVITE sip", b"BYE sip"), (b"1 INVITE", b"2 BYE"))
    assert delivered(uas.on_message(bye, ALICE, 0.0)).request.method == "BYE"
    assert uas.transaction_count == 2


def test_stateless_refusals_are_identical_every_time() -> None:
    uas = server()
    bad = edited((b"Call-ID", b"X"))
    first, second = uas.on_message(bad, ALICE, 0.0), uas.on_message(bad, ALICE, 1.0)
    assert first[0] == second[0]
    assert isinstance(first[0], Send)
    assert first[0].data.startswith(b"SIP/2.0 400 Missing call-id\r\n")
    assert isinstance(second[1], Refused)
    assert (second[1].source, second[1].status) == (ALICE, 400)
    assert len(uas.on_message(bad.replace(b"INVITE", b"OPTIONS"), ALICE, 2.0)) == 1
    assert uas.transaction_count == 0


def test_an_ack_is_never_answered() -> None:
    uas = server()
    for data in (
        as_method(b"ACK"),
        as_method(b"ACK").replace(b"To: ", b"X: "),
        as_method(b"ACK").replace(b"To: <", b"To: "),
    ):
        assert uas.on_message(data, ALICE, 0.0) == []


def test_late_answers_from_the_user_are_ignored() -> None:
    uas = server()
    arrival = delivered(uas.on_message(INVITE, ALICE, 0.0))
    reply = response_to(arrival.request, 486, to_tag="t")
    uas.respond(arrival.key, reply, 0.0)
    run_out(uas)
    assert uas.respond(arrival.key, reply, 99.0) == []
    assert uas.respond("nonsense", reply, 99.0) == []


# --- sending --------------------------------------------------------------------------------


def answer_to(actions: list[Action], status: int, *, tag: str = "t") -> bytes:
    (message,) = [message for message in sent(actions) if isinstance(message, Request)]
    return response_to(message, status, to_tag=tag, headers=["Contact: <sip:bob@192.0.2.10>"]).data


def test_a_call_from_our_side() -> None:
    uac = layer()
    draft = invite_draft()
    key, actions = uac.send_request(draft, BOB, 0.0)
    assert sent(actions)[0].first("via") == "SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bK0"
    (ringing,) = uac.on_message(answer_to(actions, 180), BOB, 0.5)
    assert isinstance(ringing, DeliverResponse)
    answer = answer_to(actions, 200)
    (answered,) = uac.on_message(answer, BOB, 1.0)
    assert isinstance(answered, DeliverResponse)
    assert answered.key == key
    dialog = Dialog.from_response(draft, answered.response)
    ack = uac.send_ack(key, "t", dialog.ack(1), BOB)
    assert sent(ack)[0].via.branch == "z9hG4bK1"
    assert uac.on_message(answer, BOB, 1.5) == ack
    bye_key, bye = uac.send_request(dialog.request("BYE"), BOB, 2.0)
    uac.on_message(answer_to(bye, 200), BOB, 2.1)
    assert run_out(uac) == [(7.1, Terminated(bye_key)), (33.0, Terminated(key))]
    assert uac.transaction_count == 0


def test_a_refusal_is_acknowledged_by_the_layer() -> None:
    uac = layer()
    key, actions = uac.send_request(invite_draft(), BOB, 0.0)
    acknowledge, refused = uac.on_message(answer_to(actions, 486), BOB, 1.0)
    assert isinstance(refused, DeliverResponse)
    assert refused.response.status == 486
    assert uac.on_message(answer_to(actions, 486), BOB, 1.5) == [acknowledge]
    assert run_out(uac) == [(33.0, Terminated(key))]


def test_silence_ends_in_408() -> None:
    uac = layer()
    key, _ = uac.send_request(invite_draft(), BOB, 0.0)
    assert run_out(uac)[-2:] == [(32.0, Fail(key, 408)), (32.0, Terminated(key))]


def test_a_cancel_waits_for_the_first_provisional() -> None:
    uac = layer()
    key, actions = uac.send_request(invite_draft(), BOB, 0.0)
    assert uac.cancel(key, 0.1, ["Reason: SIP;cause=200"]) == []
    ringing, cancel = uac.on_message(answer_to(actions, 100, tag=""), BOB, 0.2)
    assert isinstance(ringing, DeliverResponse)
    (message,) = sent([cancel])
    assert (message.cseq, message.via.branch) == ((1, "CANCEL"), "z9hG4bK0")
    assert message.first("reason") == "SIP;cause=200"
    assert uac.on_message(answer_to([cancel], 200), BOB, 0.3) == []
    acknowledge, terminated = uac.on_message(answer_to(actions, 487), BOB, 0.4)
    assert isinstance(acknowledge, Send)
    assert isinstance(terminated, DeliverResponse)
    assert run_out(uac) == [(32.4, Terminated(key))]


def test_a_cancel_during_ringing_is_sent_at_once_and_retransmitted() -> None:
    uac = layer()
    key, actions = uac.send_request(invite_draft(), BOB, 0.0)
    uac.on_message(answer_to(actions, 180), BOB, 0.2)
    assert len(sent(uac.cancel(key, 1.0))) == 1
    assert uac.cancel(key, 1.0) == []
    seen = run_out(uac)
    assert [at for at, action in seen if isinstance(action, Send)][:3] == [1.5, 2.5, 4.5]
    assert seen[-2:] == [(33.0, Fail(key, 408)), (33.0, Terminated(key))]
    assert uac.transaction_count == 0


def test_a_cancel_held_back_is_dropped_when_the_call_is_answered_or_refused_first() -> None:
    for status in (200, 486):
        uac = layer()
        key, actions = uac.send_request(invite_draft(), BOB, 0.0)
        uac.cancel(key, 0.1)
        after = uac.on_message(answer_to(actions, status), BOB, 0.2)
        assert b"CANCEL" not in b"".join(a.data for a in after if isinstance(a, Send))


def test_forks_are_delivered_each() -> None:
    uac = layer()
    _, actions = uac.send_request(invite_draft(), BOB, 0.0)
    for tag in ("a", "b"):
        (answered,) = uac.on_message(answer_to(actions, 200, tag=tag), BOB, 1.0)
        assert isinstance(answered, DeliverResponse)
        assert answered.response.to_tag == tag


def test_responses_that_are_not_ours_are_dropped() -> None:
    uac = layer()
    _, actions = uac.send_request(invite_draft(), BOB, 0.0)
    good = answer_to(actions, 200)
    for old, new in (
        (b"branch=z9hG4bK0", b"branch=z9hG4bK9"),
        (b"198.51.100.7:5060;", b"198.51.100.8:5060;"),
        (b"1 INVITE", b"1 BYE"),
        (b"1 INVITE", b"INVITE"),
        (b"From:", b"Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1\r\nFrom:"),
        (b"Via: ", b"Via: nonsense"),
        (b";tag=t", b";tag=t;tag=u"),
    ):
        assert uac.on_message(edited((old, new), of=good), BOB, 1.0) == []
    assert uac.on_message(good, BOB, 1.0)


def test_a_response_whose_via_is_written_differently_is_still_ours() -> None:
    for old, new in (
        (b"Via: SIP/2.0/UDP 198", b"VIA :  SIP / 2.0 / UDP 198"),
        (b";rport;branch=z9hG4bK0", b";branch=z9hG4bK0;rport=5060;received=198.51.100.7"),
        (b";rport;branch=z9hG4bK0", b" ;x=y;Branch = z9hG4bK0"),
        (b";rport;branch=z9hG4bK0", b";rport=5060;branch=z9hG4bK0;received=::1"),
    ):
        uac = layer()
        _, actions = uac.send_request(invite_draft(), BOB, 0.0)
        good = answer_to(actions, 200)
        assert isinstance(
            uac.on_message(edited((old, new), of=good), BOB, 1.0)[0], DeliverResponse
        )


def test_transport_errors() -> None:
    uac = layer()
    key, actions = uac.send_request(invite_draft(), TCP, 0.0)
    assert isinstance(actions[0], Send)
    assert uac.on_transport_error(actions[0].key, 1.0) == [Fail(key, 503), Terminated(key)]
    assert uac.on_transport_error(key, 1.0) == []
    first, _ = uac.send_request(invite_draft(), TCP, 0.0)
    other, _ = uac.send_request(invite_draft(), BOB, 0.0)
    assert uac.on_peer_lost(TCP, 1.0) == [Fail(first, 503), Terminated(first)]
    assert uac.transaction_count == 1
    assert other.startswith("z9hG4bK")


def test_an_invite_is_found_by_its_branch() -> None:
    uac = server()
    key, (action,) = uac.send_request(invite_draft(), BOB, 0.0)
    assert isinstance(action, Send)
    message = parse(action.data)
    assert uac.invite_key(message.via.branch) == key


def test_via_names_the_transport_and_rport_only_over_udp() -> None:
    _, actions = layer().send_request(invite_draft(), TCP, 0.0)
    assert sent(actions)[0].first("via") == "SIP/2.0/TCP 198.51.100.7:5060;branch=z9hG4bK0"


def test_thousands_of_timers_fire_in_order() -> None:
    uac = layer()
    for n in range(1000):
        draft = request(
            "OPTIONS", "sip:b@x", from_="<sip:a@x>;tag=1", to="<sip:b@x>", call_id=str(n), cseq=1
        )
        uac.send_request(draft, TCP, float(997 * n % 1000))
    failed = [at for at, action in run_out(uac) if isinstance(action, Fail)]
    assert failed == [32.0 + n for n in range(1000)]


def test_what_ended_before_its_time_is_not_woken() -> None:
    # A timer left behind would run into a transaction that is gone, and take all others of the
    # same instant with it.
    uac, uas = layer(), server()
    key, actions = uac.send_request(invite_draft(), TCP, 0.0)
    uac.on_transport_error(key, 1.0)
    assert run_out(uac) == []
    key, actions = uac.send_request(invite_draft(), TCP, 0.0)
    (invite,) = sent(actions)
    assert isinstance(invite, Request)
    busy = response_to(invite, 486, to_tag="x").data
    uac.on_message(busy, TCP, 0.1)
    assert (uac.transaction_count, run_out(uac)) == (0, [])
    arrival = delivered(uas.on_message(INVITE, TCP, 0.0))
    uas.respond(arrival.key, response_to(arrival.request, 486, to_tag="x"), 0.1)
    uas.on_message(as_method(b"ACK"), TCP, 0.2)
    assert (uas.transaction_count, run_out(uas)) == (0, [])
