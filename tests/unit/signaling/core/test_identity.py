"""Who vendors are told is calling, and customers has answered; the record knows either way."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.sip_options.identity import VendorIdentity
from services.signaling.core.identity import Identity, compiled
from tests.support.signaling.machine import ANSWER, OFFER, wire_request
from tests.support.signaling.policies import Options, call, heard, lines_of, sent

US = "203.0.113.1:5060"
TRUSTED: Options = {"identity": {"trusted": True}}
CARRIERS = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "P-Charge-Info",
            "Diversion", "History-Info", "Privacy")  # fmt: skip
ASSERTED = 'P-Asserted-Identity: "Ann" <sip:+4930999;cpc=ordinary@192.0.2.10?Route=%3Csip:e%3E>'
NUMBERS: dict[str, Any] = {"caller": "4930123456", "called": "4420794600"}


def vendor(**identity: Any) -> Options:
    return {"identity": identity}


def lines(
    customer: Options, vendor_options: Options, *headers: str, names: tuple[str, ...] = CARRIERS
) -> list[str]:
    """The identity headers of one INVITE."""
    return lines_of(call(customer, vendor_options, headers=headers, **NUMBERS).dial(), *names)


def from_and_to(dial_lines: list[str]) -> list[str]:
    return [line.partition(";tag=")[0] for line in dial_lines]


# --- From, To, Request-URI ---------------------------------------------------------------


def test_without_options_the_numbers_stand_as_routed() -> None:
    dial = call(**NUMBERS).dial()
    assert sent(dial)[0] == "INVITE sip:4420794600@198.51.100.1 SIP/2.0"
    assert from_and_to(lines_of(dial, "From", "To")) == [
        f"From: <sip:4930123456@{US}>",
        "To: <sip:4420794600@198.51.100.1>",
    ]
    assert lines_of(dial, *CARRIERS) == []


def test_formats_user_phone_and_hosts() -> None:
    options = vendor(
        caller_format="plus", called_format="international", user_phone=True,
        host="ours.example", to_host="theirs.example:5070",
    )  # fmt: skip
    dial = call({}, options, port=5080, transport="tcp", **NUMBERS).dial()
    assert sent(dial)[0] == (
        "INVITE sip:004420794600@theirs.example:5070;transport=tcp;user=phone SIP/2.0"
    )
    assert from_and_to(lines_of(dial, "From", "To")) == [
        "From: <sip:%2B4930123456@ours.example;user=phone>".replace("%2B", "+"),
        "To: <sip:004420794600@theirs.example:5070;user=phone>",
    ]


def test_user_phone_is_not_said_of_names() -> None:
    dial = call({}, vendor(user_phone=True), caller="alice", called="2000").dial()
    assert from_and_to(lines_of(dial, "From")) == [f"From: <sip:alice@{US}>"]
    assert sent(dial)[0].endswith("@198.51.100.1;user=phone SIP/2.0")


def test_a_call_without_numbers() -> None:
    dial = call({}, vendor(user_phone=True), caller="", called="").dial()
    assert sent(dial)[0] == "INVITE sip:198.51.100.1 SIP/2.0"
    assert from_and_to(lines_of(dial, "From")) == [f"From: <sip:{US}>"]


@pytest.mark.parametrize(
    ("options", "uri"),
    [
        ({}, "sip:4420794600;npdi;rn=+44555@198.51.100.1"),
        ({"number_params": "none"}, "sip:4420794600@198.51.100.1"),
    ],
)
def test_number_portability_is_not_lost(options: dict[str, str], uri: str) -> None:
    for dialled in ("sip:4420794600;npdi;rn=+44555@203.0.113.1", "tel:4420794600;npdi;rn=+44555"):
        invite = wire_request("INVITE", body=OFFER, uri=dialled)
        dial = call({}, vendor(**options), invite=invite, **NUMBERS).dial()
        assert sent(dial)[0] == f"INVITE {uri} SIP/2.0"
        assert lines_of(dial, "To") == [f"To: <{uri}>"]


@pytest.mark.parametrize(
    ("received", "passed"),
    [
        ('"Ann \\"A\\" B"', '"Ann \\"A\\" B" '),
        ("Ann", '"Ann" '),
        ('""', ""),
        ('"\x01"', ""),
        ('"' + "x" * 300 + '"', '"' + "x" * 128 + '" '),
    ],
)
def test_display_name_passes_where_it_may(received: str, passed: str) -> None:
    invite = wire_request("INVITE", body=OFFER)
    invite._first["from"] = f"From: {received} <sip:1@h>;tag=caller"
    dial = call({}, vendor(display="pass"), invite=invite, **NUMBERS).dial()
    assert from_and_to(lines_of(dial, "From")) == [f"From: {passed}<sip:4930123456@{US}>"]
    assert '"Ann' not in lines_of(call({}, {}, invite=invite).dial(), "From")[0]


# --- headers with identities -------------------------------------------------------------


def test_the_callers_number_in_every_header() -> None:
    options = vendor(
        trusted=True, p_asserted_identity="caller", p_preferred_identity="caller",
        remote_party_id="caller", remote_party_id_screen=False, p_charge_info="caller",
        caller_format="plus", user_phone=True,
    )  # fmt: skip
    uri = f"<sip:+4930123456@{US};user=phone>"
    assert lines({}, options) == [
        f"P-Asserted-Identity: {uri}",
        f"P-Preferred-Identity: {uri}",
        f"Remote-Party-ID: {uri};party=calling;screen=no;privacy=off",
        f"P-Charge-Info: {uri}",
    ]


def test_a_fixed_charge_number() -> None:
    options = vendor(p_charge_info="fixed", charge_number="+4930777", host="h.example")
    assert lines({}, options) == ["P-Charge-Info: <sip:+4930777@h.example>"]


def test_what_a_trusted_customer_asserts_passes_to_a_trusted_vendor_with_our_host() -> None:
    options = vendor(trusted=True, p_asserted_identity="pass", remote_party_id="pass",
                     p_charge_info="pass", host="h.example")  # fmt: skip
    received = (
        ASSERTED,
        "P-Asserted-Identity: <tel:+4930999;phone-context=a>",
        "Remote-Party-ID: <sip:7@192.0.2.10>;party=calling;screen=yes;x=1",
        "P-Charge-Info: <sip:8@192.0.2.10;user=phone>;npi=ISDN",
    )
    assert lines(TRUSTED, options, *received) == [
        'P-Asserted-Identity: "Ann" <sip:+4930999;cpc=ordinary@h.example>',
        "P-Asserted-Identity: <tel:+4930999;phone-context=a>",
        "Remote-Party-ID: <sip:7@h.example>;party=calling;screen=yes",
        "P-Charge-Info: <sip:8@h.example;user=phone>",
    ]
    assert lines({}, options, *received) == []


@pytest.mark.parametrize("customer", [{}, TRUSTED])
def test_asserted_identity_never_reaches_an_untrusted_vendor(customer: Options) -> None:
    options = vendor(remote_party_id="none", p_charge_info="pass")
    charge = "P-Charge-Info: <sip:8@192.0.2.10>"
    assert lines(customer, options, ASSERTED, charge) == []
    with pytest.raises(ValueError, match="trusted"):
        VendorIdentity(p_asserted_identity="pass")


def test_preferred_identity_diversion_and_history_pass() -> None:
    options = vendor(p_preferred_identity="pass", diversion="pass", history_info="pass")
    received = (
        "P-Preferred-Identity: <sip:1@192.0.2.10>",
        "Diversion: <sip:2@192.0.2.10>;reason=no-answer;counter=1, <sip:3@192.0.2.10>;bad=;;",
        "History-Info: <sip:4@192.0.2.10?Reason=SIP%3Bcause%3D302&Route=x>;index=1.1;ext=2",
    )
    assert lines({}, options, *received) == [
        f"P-Preferred-Identity: <sip:1@{US}>",
        f"Diversion: <sip:2@{US}>;reason=no-answer;counter=1",
        f"History-Info: <sip:4@{US}?Reason=SIP%3Bcause%3D302>;index=1.1",
    ]
    assert lines({}, {}, *received) == []


def test_only_so_many_values_pass() -> None:
    received = "Diversion: " + ", ".join(f"<sip:{n}@h>" for n in range(40))
    assert len(lines({}, vendor(diversion="pass"), received)) == 16


# --- privacy -----------------------------------------------------------------------------


ANONYMOUS = 'From: "Anonymous" <sip:anonymous@anonymous.invalid>'
EVERYTHING = {
    "p_preferred_identity": "caller", "remote_party_id": "caller", "p_charge_info": "caller",
    "diversion": "pass", "history_info": "pass", "display": "pass",
}  # fmt: skip
TELLING = (
    "Privacy: id",
    "Diversion: <sip:4930123456@192.0.2.10>",
    "History-Info: <sip:4930123456@192.0.2.10>;index=1",
)


@pytest.mark.parametrize("options", [{}, EVERYTHING])
def test_a_private_caller_is_hidden_from_untrusted_vendors(options: dict[str, Any]) -> None:
    machine = call(TRUSTED, vendor(**options), headers=TELLING, **NUMBERS)
    dial = machine.dial()
    wire = "\r\n".join(sent(dial))
    assert from_and_to(lines_of(dial, "From")) == [ANONYMOUS]
    assert lines_of(dial, "Privacy") == ["Privacy: id"]
    # neither the number nor any address of his: not in Contact, Call-ID, Via or anything else
    assert "4930123456" not in wire
    assert "192.0.2.10" not in wire
    machine.say(dial, 486, 101.0)
    record = machine.record
    assert (record.caller, record.attempts[0].caller) == ("1000", "4930123456")


@pytest.mark.parametrize(
    "asked", ["Privacy: id", "Remote-Party-ID: <sip:4930123456@192.0.2.10>;privacy=full"]
)
@pytest.mark.parametrize("mode", ["usual", "all"])
def test_nothing_else_tells_who_a_private_caller_is(asked: str, mode: str) -> None:
    telling = (
        "Identity: eyJvcmlnIjp7InRuIjoiNDkzMDEyMzQ1NiJ9fQ", "Subject: secret",
        "Organization: secret", "Call-Info: <http://secret>", "Reply-To: <sip:secret@h>",
        "P-Access-Network-Info: secret", "Geolocation: <cid:secret>",
    )  # fmt: skip
    options = {"headers": {"pass": mode}}
    dial = call(TRUSTED, options, headers=[asked, *telling, "X-A: 1"], **NUMBERS).dial()
    wire = "\r\n".join(sent(dial))
    assert "secret" not in wire
    assert "eyJ" not in wire
    assert lines_of(dial, "Privacy", "X-A") == ["Privacy: id", "X-A: 1"][: 1 + (mode == "all")]
    trusted = {**options, "identity": {"trusted": True, "p_asserted_identity": "caller"}}
    dial = call(TRUSTED, trusted, headers=[asked, *telling], **NUMBERS).dial()
    assert lines_of(dial, "Identity", "Subject") != []


@pytest.mark.parametrize("asked", ["id", "user", "header;critical"])
def test_in_dialog_requests_of_a_hidden_caller_stay_anonymous(asked: str) -> None:
    machine = call(headers=[f"Privacy: {asked}"], **NUMBERS)
    dial = machine.dial()
    assert dial.draft.from_.startswith(ANONYMOUS.removeprefix("From: "))
    machine.say(dial, 200, 105.0, body=ANSWER)
    machine.durable(105.0)
    machine.ack(105.0)
    commands = machine.caller_sends("BYE", 110.0)
    (bye,) = [one for one in commands if getattr(one, "draft", None) is not None]
    assert "4930123456" not in str(bye)


def test_trusted_vendors_are_told_and_asked_to_keep_it() -> None:
    options = vendor(trusted=True, p_asserted_identity="caller", remote_party_id="caller")
    dial = call({}, options, headers=["Privacy: id"], **NUMBERS).dial()
    assert from_and_to(lines_of(dial, "From")) == [ANONYMOUS]
    assert lines_of(dial, *CARRIERS) == [
        f"P-Asserted-Identity: <sip:4930123456@{US}>",
        f"Remote-Party-ID: <sip:4930123456@{US}>;party=calling;screen=yes;privacy=full",
        "Privacy: id",
    ]


def test_a_trusted_vendor_who_is_told_nowhere_else_reads_it_in_from() -> None:
    for options in ({}, {"p_asserted_identity": "pass"}):
        dial = call({}, vendor(trusted=True, **options), headers=["Privacy: id"], **NUMBERS).dial()
        assert from_and_to(lines_of(dial, "From")) == [f"From: <sip:4930123456@{US}>"]
        assert lines_of(dial, "Privacy") == ["Privacy: id"]


@pytest.mark.parametrize(
    ("option", "asked", "line", "hidden"),
    [
        ("pass", "", [], False),
        ("pass", "none", ["Privacy: none"], False),
        ("pass", "session", ["Privacy: session"], False),
        ("none", "id", [], False),
        ("id", "", ["Privacy: id"], True),
        ("id", "none", ["Privacy: id"], True),
        ("id", "header;id", ["Privacy: header;id"], True),
        ("none_value", "id", ["Privacy: none"], False),
    ],
)
def test_privacy_option(option: str, asked: str, line: list[str], hidden: bool) -> None:
    headers = [f"Privacy: {asked}"] if asked else []
    dial = call({}, vendor(privacy=option), headers=headers, **NUMBERS).dial()
    assert lines_of(dial, "Privacy") == line
    assert (from_and_to(lines_of(dial, "From")) == [ANONYMOUS]) is hidden


def test_history_stays_with_us_when_asked() -> None:
    history = ("History-Info: <sip:4@h>;index=1", "Privacy: history")
    assert lines({}, vendor(history_info="pass"), *history) == ["Privacy: history"]
    trusted = vendor(history_info="pass", trusted=True)
    assert lines({}, trusted, *history)[0].startswith("History-Info")


# --- identity back -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("customer", "vendor_options", "passes"),
    [
        ({"trusted": True, "called_identity": "pass"}, {"trusted": True}, True),
        ({"trusted": True, "called_identity": "pass"}, {}, False),
        ({"trusted": False, "called_identity": "pass"}, {"trusted": True}, False),
        ({"trusted": True}, {"trusted": True}, False),
    ],
)
def test_who_answered_passes_between_the_trusted_only(
    customer: dict[str, object], vendor_options: dict[str, object], passes: bool
) -> None:
    machine = call({"identity": customer}, vendor(**vendor_options))
    dial = machine.dial()
    extra = ["P-Asserted-Identity: <sip:2001@198.51.100.1>", "Privacy: id"]
    expected = [f"P-Asserted-Identity: <sip:2001@{US}>", "Privacy: id"] if passes else []
    names = ("P-Asserted-Identity", "Privacy")
    assert heard(machine.say(dial, 180, 101.0, headers=extra), *names) == expected
    machine.say(dial, 200, 102.0, body=ANSWER, headers=extra)
    assert heard(machine.durable(102.0), *names) == expected


def test_default_options_compile_to_nothing() -> None:
    assert compiled(VendorIdentity()) is None
    assert isinstance(compiled(VendorIdentity(trusted=True)), Identity)
