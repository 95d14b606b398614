"""Contacts of a 3xx, received and sent."""

from __future__ import annotations

from services.common.causes import EndReason
from services.common.sip_options.identity import VendorIdentity
from services.common.sip_options.probe import VendorProbe
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.redirects import MOST_CONTACTS, redirected_to, redirection
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.actions import Peer
from services.signaling.sip.message import Response, parse
from tests.support.signaling.machine import candidate, context


def redirect(*contacts: str) -> Response:
    lines = [
        "SIP/2.0 302 Moved Temporarily",
        "Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKours",
        "From: <sip:1000@203.0.113.1>;tag=ours",
        "To: <sip:2000@198.51.100.1>;tag=theirs",
        "Call-ID: egress1",
        "CSeq: 1 INVITE",
        *(f"Contact: {contact}" for contact in contacts),
        "Content-Length: 0",
        "",
        "",
    ]
    response = parse("\r\n".join(lines).encode())
    assert isinstance(response, Response)
    return response


def test_contacts_come_in_the_order_of_q_and_equal_ones_as_they_came() -> None:
    response = redirect(
        '"A, B" <sip:1@192.0.2.1;x=1>;q=0.2, <sip:2@192.0.2.2>;q=0.9',
        "<sip:3@192.0.2.3>",
        "sip:4@192.0.2.4;q=0.9",
    )
    assert [uri.user for uri in redirected_to(response)] == ["3", "2", "4", "1"]


def test_what_cannot_be_read_or_called_is_left_out() -> None:
    response = redirect(
        "*",
        "<tel:+49>",
        "<mailto:a@b>",
        "<sip:2@192.0.2.2>;q=2",
        "<sip:3@192.0.2.3>;q=nan",
        "<sip:4@192.0.2.4>;q=much",
        "<sip:5@192.0.2.5:99999>",
        "<sip:6@192.0.2.6>;q=0.000",
    )
    assert [uri.user for uri in redirected_to(response)] == ["6"]


def test_no_more_contacts_are_looked_at_than_make_sense() -> None:
    response = redirect(*(f"<sip:{number}@192.0.2.1>" for number in range(100)))
    assert len(redirected_to(response)) == MOST_CONTACTS


def test_one_route_is_302_and_several_are_300_with_falling_q() -> None:
    first = candidate(1, called="0049#1", port=5070)
    second = candidate(2, transport="tcp", host="2001:db8::2")
    assert redirection(context(), [first], 0.0) == (
        EndReason.REDIRECTED,
        302,
        ("Contact: <sip:0049%231@198.51.100.1:5070>;q=1.00",),
    )
    assert redirection(context(), [first, second], 0.0)[1:] == (
        300,
        (
            "Contact: <sip:0049%231@198.51.100.1:5070>;q=1.00",
            "Contact: <sip:2000@[2001:db8::2];transport=tcp>;q=0.99",
        ),
    )


def test_vendors_in_trouble_are_not_named() -> None:
    shared = context()
    peer = Peer("udp", "198.51.100.1", 5060)
    shared.reach.health.on_probe(("vtr_1", peer), VendorProbe(down_after=1), "silence", 1.0)
    told = redirection(shared, [candidate(1), candidate(2)], 2.0)
    assert told.lines == ("Contact: <sip:2000@198.51.100.2>;q=1.00",)
    assert redirection(shared, [candidate(1)], 2.0) == (EndReason.VENDOR_DOWN, 0, ())
    assert redirection(shared, [], 2.0).reason is EndReason.NO_ROUTE


def test_numbers_are_as_each_vendor_wants_them() -> None:
    plus = VendorSip(identity=VendorIdentity(called_format="plus", to_host="carrier.example"))
    shared = context()
    shared.trunks = TrunkTable({}, vendors={"vtr_1": plus, "vtr_2": VendorSip()})
    routes = [candidate(1, called="442079460000"), candidate(2, called="442079460000")]
    assert redirection(shared, routes, 0.0).lines == (
        "Contact: <sip:+442079460000@198.51.100.1>;q=1.00",
        "Contact: <sip:442079460000@198.51.100.2>;q=0.99",
    )


def test_a_user_registered_here_is_nobody_s_route_elsewhere() -> None:
    routes = [candidate(1, host="registered:alice"), candidate(2)]
    told = redirection(context(), routes, 0.0)
    assert told.lines == ("Contact: <sip:2000@198.51.100.2>;q=1.00",)
    assert redirection(context(), routes[:1], 0.0) == (EndReason.NO_ROUTE, 0, ())


def test_a_name_nobody_has_looked_up_is_named_all_the_same() -> None:
    told = redirection(context(), [candidate(1, host="sip.example")], 0.0)
    assert told.lines == ("Contact: <sip:2000@sip.example>;q=1.00",)
