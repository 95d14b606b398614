"""RFC 3261 section 10.3, and the registrations of RFC 3665 section 2 and RFC 4475."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.sip_options.auth import CustomerRegistrations
from services.signaling.core.location import Location
from services.signaling.core.registrar import (
    Registered,
    address_of_record,
    check_contacts,
    register,
)
from services.signaling.sip.actions import Peer
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.message import Request, parse

PHONE = Peer("udp", "192.0.2.4", 5060, 1)
RULES = CustomerRegistrations()


def wire(
    *contacts: str,
    call_id: str = "1j9FpLxk3uxtm8tn@biloxi.example.com",
    cseq: int = 1,
    headers: tuple[str, ...] = (),
    vias: int = 1,
) -> Request:
    lines = [
        "REGISTER sip:registrar.biloxi.example.com SIP/2.0",
        *(f"Via: SIP/2.0/UDP client{n}.example.com;branch=z9hG4bK{n}" for n in range(vias)),
        "From: Bob <sip:bob@biloxi.example.com>;tag=a73kszlfl",
        "To: Bob <sip:bob@biloxi.example.com>",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} REGISTER",
        *(f"Contact: {contact}" for contact in contacts),
        *headers,
        "",
        "",
    ]
    message = parse("\r\n".join(lines).encode("latin-1"))
    assert isinstance(message, Request)
    return message


class Registrar:
    """A location and a clock."""

    def __init__(self, rules: CustomerRegistrations = RULES) -> None:
        self.location = Location()
        self.rules = rules
        self.at = 1000.0
        self.cseq = 0

    def take(self, request: Request, source: Peer = PHONE) -> Registered:
        outcome = register(self.location, request, source, username="bob", rules=self.rules,
                           node="n1", unix_s=self.at)  # fmt: skip
        for binding in outcome.removed:
            self.location.remove("bob", binding.id)
        for binding in outcome.put:
            self.location.put(binding)
        return outcome

    def say(self, *contacts: str, headers: tuple[str, ...] = ()) -> Registered:
        self.cseq += 1
        return self.take(wire(*contacts, cseq=self.cseq, headers=headers))

    @property
    def contacts(self) -> set[str]:
        return {binding.uri for binding in self.location.of("bob", self.at)}


# --- RFC 3665 section 2, after the challenge ----------------------------------------------


def test_3665_2_1_successful_new_registration() -> None:
    registrar = Registrar()
    outcome = registrar.say("<sip:bob@192.0.2.4>", headers=("Expires: 3600",))
    assert outcome.status == 200
    assert outcome.headers == ("Contact: <sip:bob@192.0.2.4>;expires=3600",)
    (binding,) = outcome.put
    assert (binding.source, binding.node, binding.expires_at) == (PHONE, "n1", 4600.0)


def test_3665_2_2_update_of_contact_list() -> None:
    registrar = Registrar()
    registrar.say("<sip:bob@192.0.2.4>")
    outcome = registrar.say("mailto:bob@biloxi.example.com")
    assert outcome.status == 400  # the switch can call no mailbox
    outcome = registrar.say("<sip:bob@192.0.2.5>;q=0.5;expires=120")
    assert outcome.headers == (
        "Contact: <sip:bob@192.0.2.4>;expires=3600",
        "Contact: <sip:bob@192.0.2.5>;expires=120;q=0.5",
    )


def test_3665_2_3_request_for_current_contact_list() -> None:
    registrar = Registrar()
    registrar.say("<sip:bob@192.0.2.4>")
    registrar.at += 600
    outcome = registrar.say()
    assert (outcome.status, outcome.put, outcome.removed) == (200, (), ())
    assert outcome.headers == ("Contact: <sip:bob@192.0.2.4>;expires=3000",)


def test_3665_2_4_cancellation_of_registration() -> None:
    registrar = Registrar()
    registrar.say("<sip:bob@192.0.2.4>", "<sip:bob@192.0.2.5>")
    outcome = registrar.say("*", headers=("Expires: 0",))
    assert (outcome.status, outcome.headers, len(outcome.removed)) == (200, (), 2)
    assert registrar.contacts == set()


# --- contacts ----------------------------------------------------------------------------


def test_one_contact_is_removed_by_expires_0() -> None:
    registrar = Registrar()
    registrar.say("<sip:bob@192.0.2.4>, <sip:bob@192.0.2.5>")
    registrar.say("<sip:bob@192.0.2.4>;expires=0")
    assert registrar.contacts == {"sip:bob@192.0.2.5"}
    assert registrar.say("<sip:bob@unheard.of>;expires=0").status == 200


def test_a_contact_is_the_same_when_its_uri_is_equivalent() -> None:
    registrar = Registrar()
    registrar.say("<sip:bob@HOST.example:5070>")
    outcome = registrar.say("<sip:%62ob@host.EXAMPLE:5070>")
    assert registrar.contacts == {"sip:%62ob@host.EXAMPLE:5070"}
    assert outcome.removed == ()
    assert len(outcome.put) == 1


@pytest.mark.parametrize(
    ("contacts", "headers"),
    [
        (("*",), ()),
        (("*",), ("Expires: 1",)),
        (("*",), ("Expires: x",)),
        (("*", "<sip:bob@192.0.2.4>"), ("Expires: 0",)),
        (("sip:bob@192.0.2.4?Route=%3Csip:evil%3E",), ()),  # regbadct
        (("tel:+4912",), ()),
        (("<sip:>",), ()),
        (('"bob <sip:bob@192.0.2.4>',), ()),
        (("<sip:bob@192.0.2.4>;expires=1;expires=2",), ()),
        (("<sip:bob@192.0.2.4>",), ("Path: <sip:edge.example>",)),
        (("<sip:bob@192.0.2.4>",), ("Path: nonsense",)),
        ((f"<sip:{'b' * 600}@192.0.2.4>",), ()),
        (("<sip:bob@192.0.2.4>",), ("Path: <sip:edge.example;lr>",) * 9),
    ],
)
def test_nonsense_changes_nothing(contacts: tuple[str, ...], headers: tuple[str, ...]) -> None:
    registrar = Registrar()
    registrar.say("<sip:bob@192.0.2.9>")
    outcome = registrar.say(*contacts, headers=headers)
    assert (outcome.status, outcome.put, outcome.removed) == (400, (), ())
    assert registrar.contacts == {"sip:bob@192.0.2.9"}


def test_all_of_a_request_is_done_or_nothing() -> None:
    registrar = Registrar()
    outcome = registrar.say("<sip:bob@192.0.2.4>", "<sip:bob@192.0.2.5>;expires=5")
    assert (outcome.status, registrar.contacts) == (423, set())


def test_too_many_contacts_in_one_request() -> None:
    outcome = Registrar().say(*[f"<sip:bob@192.0.2.{n}>" for n in range(40)])
    assert outcome.status == 403


# --- time --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "granted"),
    [("600", 600), ("99999", 3600), ("4294967295", 3600), ("60", 60), ("nonsense", 3600)],
)
def test_how_long_it_lasts(asked: str, granted: int) -> None:
    outcome = Registrar().say(f"<sip:bob@192.0.2.4>;expires={asked}")
    assert outcome.headers == (f"Contact: <sip:bob@192.0.2.4>;expires={granted}",)


def test_too_brief_an_interval() -> None:
    outcome = Registrar().say("<sip:bob@192.0.2.4>", headers=("Expires: 59",))
    assert (outcome.status, outcome.headers) == (423, ("Min-Expires: 60",))


# --- order -------------------------------------------------------------------------------


def test_nothing_older_changes_a_binding() -> None:
    registrar = Registrar()
    registrar.take(wire("<sip:bob@192.0.2.4>", cseq=7))
    for cseq in (6, 7):
        late = wire("<sip:bob@192.0.2.4>;expires=0", cseq=cseq)
        assert registrar.take(late).status == 500
        wildcard = wire("*", cseq=cseq, headers=("Expires: 0",))
        assert registrar.take(wildcard).status == 500
    assert registrar.contacts == {"sip:bob@192.0.2.4"}
    assert registrar.take(wire("<sip:bob@192.0.2.4>;expires=0", cseq=8)).status == 200


def test_a_client_that_restarted_may_change_it() -> None:
    registrar = Registrar()
    registrar.take(wire("<sip:bob@192.0.2.4>", cseq=7))
    restarted = wire("<sip:bob@192.0.2.4>", cseq=1, call_id="other")
    assert registrar.take(restarted).status == 200


# --- limits ------------------------------------------------------------------------------


def test_one_more_replaces_the_oldest() -> None:
    registrar = Registrar(CustomerRegistrations(most=2))
    for number in (1, 2):
        registrar.at += 1
        registrar.say(f"<sip:bob@192.0.2.{number}>")
    outcome = registrar.say("<sip:bob@192.0.2.3>")
    assert [binding.uri for binding in outcome.removed] == ["sip:bob@192.0.2.1"]
    assert registrar.contacts == {"sip:bob@192.0.2.2", "sip:bob@192.0.2.3"}


def test_one_more_is_refused_but_a_refresh_is_not() -> None:
    registrar = Registrar(CustomerRegistrations(most=1, when_full="refuse"))
    registrar.say("<sip:bob@192.0.2.1>")
    assert registrar.say("<sip:bob@192.0.2.2>").status == 403
    assert registrar.say("<sip:bob@192.0.2.1>").status == 200
    moved = registrar.say("<sip:bob@192.0.2.1>;expires=0", "<sip:bob@192.0.2.2>")
    assert moved.status == 200
    assert registrar.contacts == {"sip:bob@192.0.2.2"}


# --- Path and outbound -------------------------------------------------------------------

EDGE = "<sip:edge.example;lr;ob>"
OUTBOUND = ';reg-id=1;+sip.instance="<urn:uuid:0-1-2>"'


def test_path_is_kept_and_echoed_to_who_knows_it() -> None:
    registrar = Registrar()
    outcome = registrar.say("<sip:bob@192.0.2.4>", headers=(f"Path: {EDGE}", "Supported: path"))
    assert outcome.headers[1:] == (f"Path: {EDGE}",)
    assert outcome.put[0].path == (EDGE,)
    silent = registrar.say("<sip:bob@192.0.2.4>", headers=(f"Path: {EDGE}",))
    assert len(silent.headers) == 1


def test_outbound_identifies_by_instance_and_reg_id() -> None:
    registrar = Registrar()
    speaks = ("Supported: outbound, path",)
    outcome = registrar.say("<sip:bob@192.0.2.4:1111>" + OUTBOUND, headers=speaks)
    assert outcome.headers[-1] == "Require: outbound"
    assert outcome.headers[0].endswith(';+sip.instance="<urn:uuid:0-1-2>";reg-id=1')
    registrar.say("<sip:bob@192.0.2.4:2222>" + OUTBOUND, headers=speaks)
    assert registrar.contacts == {"sip:bob@192.0.2.4:2222"}
    second = OUTBOUND.replace("reg-id=1", "reg-id=2")
    registrar.say("<sip:bob@192.0.2.4:2222>" + second, headers=speaks)
    assert len(registrar.location) == 2


def test_outbound_through_a_proxy_that_lacks_it() -> None:
    request = wire("<sip:bob@192.0.2.4>" + OUTBOUND, headers=("Supported: outbound",), vias=2)
    assert Registrar().take(request).status == 439
    request = wire("<sip:bob@192.0.2.4>" + OUTBOUND, vias=2,
                   headers=("Supported: outbound", f"Path: {EDGE}"))  # fmt: skip
    assert Registrar().take(request).status == 200


# --- RFC 4475 ----------------------------------------------------------------------------


def test_4475_escnull_two_distinct_contacts() -> None:
    registrar = Registrar()
    registrar.say("<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>")
    assert registrar.contacts == {"sip:%00@host5.example.com", "sip:%00%00@host5.example.com"}


def test_4475_cparam01_a_parameter_after_a_bare_contact_is_of_the_header() -> None:
    registrar = Registrar()
    registrar.say("sip:+19725552222@gw1.example.net;unknownparam")
    assert registrar.contacts == {"sip:+19725552222@gw1.example.net"}


def test_4475_cparam02_a_parameter_of_the_uri_is_kept_and_echoed() -> None:
    outcome = Registrar().say("<sip:+19725552222@gw1.example.net;unknownparam>")
    uri = "sip:+19725552222@gw1.example.net;unknownparam"
    assert outcome.headers == (f"Contact: <{uri}>;expires=3600",)


def test_4475_regescrt_headers_of_a_contact_are_part_of_its_uri() -> None:
    registrar = Registrar()
    registrar.say("<sip:user@example.com?Route=%3Csip:sip.example.com%3E>")
    assert registrar.contacts == {"sip:user@example.com?Route=%3Csip:sip.example.com%3E"}


def test_4475_unksm2_an_address_of_record_is_a_sip_uri() -> None:
    request = wire("<sip:bob@192.0.2.4>")
    assert address_of_record(request).user == "bob"
    text = b"REGISTER sip:e.com SIP/2.0\r\nVia: a\r\nFrom: a\r\nTo: isbn:2983792873\r\n"
    strange = parse(text + b"Call-ID: a\r\nCSeq: 1 REGISTER\r\n\r\n")
    assert isinstance(strange, Request)
    with pytest.raises(MalformedMessage):
        address_of_record(strange)


def test_4475_regbadct_is_malformed_whoever_sent_it() -> None:
    check_contacts(wire("*"))
    check_contacts(wire("<sip:a@b>;q=0.1, mailto:a@b", "sip:c@d"))
    for contact in ("sip:user@example.com?Route=%3Csip:sip.example.com%3E", "<sip:>", "x y"):
        with pytest.raises(MalformedMessage):
            check_contacts(wire(contact))


CONTACT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=120)


@given(st.lists(CONTACT, max_size=3), CONTACT, CONTACT)
def test_whatever_is_registered_changes_nothing_or_can_be_written(
    contacts: list[str], expires: str, path: str
) -> None:
    registrar = Registrar()
    contacts = [f"<sip:bob@192.0.2.4>;{one}" for one in contacts] + contacts
    outcome = registrar.say(*contacts, headers=(f"Expires: {expires}", f"Path: {path}"))
    assert outcome.status in {200, 400, 403, 423, 439}
    assert (outcome.status == 200) or not (outcome.put or outcome.removed)
    assert not any("\r" in line or "\n" in line for line in outcome.headers)
    assert len(registrar.location) <= registrar.rules.most
