from itertools import permutations

import pytest

from services.signaling.sip.dialog import Dialog
from services.signaling.sip.message import Request
from tests.support.sip_messages import edited, invite_draft, parsed_request, response

VIA = "Via: SIP/2.0/UDP x;branch=z9hG4bK1"


def callee(*edits: tuple[bytes, bytes]) -> Dialog:
    return Dialog.from_request(parsed_request(edited(*edits)), "local")


def caller(extra: str = "Contact: <sip:bob@10.0.0.9:5062>\r\n", status: int = 200) -> Dialog:
    return Dialog.from_response(invite_draft(), response(status, extra=extra))


def received(method: str, number: int, contact: str = "") -> Request:
    return parsed_request(
        f"{method} sip:us SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK2\r\n"
        "From: <sip:442071234567@198.51.100.7>;tag=a73kszlfl\r\n"
        "To: <sip:14155550123@192.0.2.10>;tag=local\r\n"
        "Call-ID: 1j9FpLxk3uxtm8tn@198.51.100.7\r\n"
        f"CSeq: {number} {method}\r\n{contact}\r\n".encode()
    )


def test_the_callees_side() -> None:
    dialog = callee(
        (b"Allow:", b"Record-Route: <sip:p1;lr>\r\nRecord-Route: <sip:p2;lr>\r\nAllow:")
    )
    bye = parsed_request(dialog.request("BYE").wire(VIA))
    assert bye.uri == "sip:442071234567@198.51.100.7:5060;transport=udp"
    assert bye.headers("route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert bye.first("from") == "<sip:14155550123@192.0.2.10>;tag=local"
    assert bye.first("to") == '"Alice" <sip:442071234567@198.51.100.7>;tag=a73kszlfl'
    assert (bye.call_id, bye.cseq) == ("1j9FpLxk3uxtm8tn@198.51.100.7", (1, "BYE"))
    assert dialog.next_hop == "sip:p1;lr"
    before = dialog.is_confirmed
    dialog.confirm()
    assert (before, dialog.is_confirmed) == (False, True)


def test_the_callers_side_reverses_the_route() -> None:
    dialog = caller("Contact: <sip:bob@10.0.0.9>\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\n")
    ack = parsed_request(dialog.ack(1).wire(VIA))
    assert ack.headers("route") == ["<sip:p2;lr>", "<sip:p1;lr>"]
    assert (ack.uri, ack.cseq, ack.to_tag) == ("sip:bob@10.0.0.9", (1, "ACK"), "theirs")
    info = parsed_request(
        dialog.request("INFO", headers=["X: 1"], body=b"5", content_type="a/b").wire(VIA)
    )
    assert (info.cseq, info.content_type, info.body, info.max_forwards) == (
        (2, "INFO"),
        "a/b",
        b"5",
        70,
    )
    assert dialog.is_confirmed


def test_a_strict_router_stands_in_the_request_uri() -> None:
    dialog = caller("Contact: <sip:bob@10.0.0.9>\r\nRecord-Route: <sip:p1;lr>, <sip:strict>\r\n")
    bye = parsed_request(dialog.request("BYE").wire(VIA))
    assert bye.uri == "sip:strict"
    assert bye.headers("route") == ["<sip:p1;lr>", "<sip:bob@10.0.0.9>"]
    assert dialog.next_hop == "sip:strict"


def test_an_early_dialog_is_confirmed_by_its_2xx_which_renews_the_route() -> None:
    dialog = caller("Contact: <sip:early@x>\r\nRecord-Route: <sip:early;lr>\r\n", status=183)
    dialog.on_response(response(180, extra="Contact: <sip:other@x>\r\n"))
    assert (dialog.is_confirmed, dialog.remote_target) == (False, "sip:early@x")
    dialog.on_response(response(200, extra="Contact: <sip:bob@x>\r\nRecord-Route: <sip:p;lr>\r\n"))
    assert dialog.is_confirmed
    assert (dialog.remote_target, dialog.route_set) == ("sip:bob@x", ("<sip:p;lr>",))
    dialog.on_response(
        response(200, extra="Contact: <sip:new@x>\r\nRecord-Route: <sip:ignored;lr>\r\n")
    )
    assert (dialog.remote_target, dialog.route_set) == ("sip:new@x", ("<sip:p;lr>",))


def test_a_2xx_to_an_update_moves_the_target_of_an_early_dialog_and_confirms_nothing() -> None:
    dialog = caller("Contact: <sip:bob@10.0.0.9>\r\nRecord-Route: <sip:p1;lr>\r\n", status=183)
    update = response(200, cseq="2 UPDATE", extra="Contact: <sip:bob@10.0.0.8>\r\n")
    dialog.on_response(update)
    assert (dialog.is_confirmed, dialog.route_set) == (False, ("<sip:p1;lr>",))
    assert dialog.remote_target == "sip:bob@10.0.0.8"


def test_forks_make_dialogs_of_their_own() -> None:
    draft = invite_draft()
    first = Dialog.from_response(draft, response(180, to_tag="a"))
    second = Dialog.from_response(draft, response(180, to_tag="b"))
    assert (first.remote_tag, second.remote_tag) == ("a", "b")
    assert first.local == second.local


def test_numbers_must_grow() -> None:
    dialog = callee()
    assert dialog.on_request(received("INFO", 5)) == 0
    assert dialog.on_request(received("INFO", 5)) == 500
    assert dialog.on_request(received("BYE", 4)) == 500
    assert dialog.on_request(received("BYE", 900)) == 0


def test_a_caller_takes_any_first_number() -> None:
    assert caller().on_request(received("BYE", 0)) == 0


@pytest.mark.parametrize(
    "method, contact, target",
    [
        ("INVITE", "Contact: <sip:moved@x>\r\n", "sip:moved@x"),
        ("UPDATE", "Contact: <sip:moved@x>\r\n", "sip:moved@x"),
        ("INFO", "Contact: <sip:moved@x>\r\n", "sip:442071234567@198.51.100.7:5060;transport=udp"),
        ("INVITE", "", "sip:442071234567@198.51.100.7:5060;transport=udp"),
        ("INVITE", "Contact: <mailto:x>\r\n", "sip:442071234567@198.51.100.7:5060;transport=udp"),
        ("INVITE", "Contact: junk <\r\n", "sip:442071234567@198.51.100.7:5060;transport=udp"),
        ("INVITE", "Contact: <sip:moved@x?Route=%3Csip:evil%3E>\r\n", "sip:moved@x"),
    ],
)
def test_the_target_moves_with_session_requests_only(
    method: str, contact: str, target: str
) -> None:
    dialog = callee()
    assert dialog.on_request(received(method, 2, contact)) == 0
    assert dialog.remote_target == target


def test_a_request_refused_for_its_number_moves_nothing() -> None:
    dialog = callee()
    assert dialog.on_request(received("INVITE", 1, "Contact: <sip:evil@x>\r\n")) == 500
    assert dialog.remote_target == "sip:442071234567@198.51.100.7:5060;transport=udp"


def test_only_both_tags_and_the_call_id_match() -> None:
    dialog = callee()
    request = received("BYE", 2)
    assert dialog.matches(request)
    for call_id, local, remote in permutations(("", "x", "y")):
        other = callee()
        other.call_id += call_id
        other.local_tag += local
        other.remote_tag += remote
        assert not other.matches(request)


def test_without_contact_the_peer_is_where_it_said_it_is() -> None:
    assert callee((b"Contact: <", b"X: <")).remote_target == "sip:442071234567@198.51.100.7"
    assert caller("").remote_target == "sip:14155550123@192.0.2.10"


def test_a_snapshot_continues_where_it_was() -> None:
    dialog = caller("Contact: <sip:bob@x>\r\nRecord-Route: <sip:p;lr>\r\n")
    dialog.request("INFO")
    again = Dialog(dialog.snapshot())
    assert again.snapshot() == dialog.snapshot()
    assert again.request("BYE").wire(VIA) == dialog.request("BYE").wire(VIA)


def test_no_uri_of_the_peer_brings_headers_into_our_requests() -> None:
    from_ = (b"<sip:442071234567@198.51.100.7>", b"<sip:a@x?Route=%3Csip:evil%3E>")
    assert callee(from_, (b"Contact: <", b"X: <")).remote_target == "sip:a@x"
    strict = caller("Contact: <sip:bob@x>\r\nRecord-Route: <sip:p?Replaces=1>\r\n")
    bye = parsed_request(strict.request("BYE").wire(VIA))
    assert (bye.uri, bye.headers("route")) == ("sip:p", ["<sip:bob@x>"])
