"""Passwords and registrations in both directions, with SIPp as telephone, carrier and registrar.

SIPp knows MD5 only; the other algorithms are spoken to the same switch by
``tests/integration/signaling/test_registrations.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import scenarios
from tests.support.lab import VENDOR_HOST, Lab, document, eventually
from tests.support.ports import free_port
from tests.support.scenarios import (
    PROVISIONAL,
    ack,
    ack_failure,
    expect,
    in_dialog,
    invite,
    pause,
    receive,
    reply,
    reply_in_dialog,
    scenario,
    sdp,
)
from tests.support.sipp import Address, Sipp

PHONE_HOST, CALLER_HOST = "127.0.0.6", "127.0.0.7"
USER, PASSWORD = "alice", "alice-secret"
ACCOUNT, CARRIER_PASSWORD = "tandem", "carrier-secret"
_NUMBERS = itertools.count(4_931_000_000)

PROOF = f"[authentication username={USER} password={PASSWORD}]"
WRONG = f"[authentication username={USER} password=wrong-secret]"
CHALLENGE = (
    'Digest realm="carrier", nonce="47364c23432d2e131a5fb210812c", algorithm=MD5, qop="auth"'
)


def proven(step: str, proof: str = PROOF) -> str:
    """A request with the answer to the challenge just received."""
    return step.replace("Content-Length:", f"{proof}\nContent-Length:", 1)


def again(step: str, sequence: int) -> str:
    return step.replace("CSeq: 1 ", f"CSeq: {sequence} ")


CHALLENGED = '<recv response="401" auth="true"/>'
CALLER_WITH_PASSWORD = scenario(
    "caller with a password",
    invite(),
    expect(100, optional=True),
    CHALLENGED,
    ack_failure(),
    proven(again(invite(), 2)),
    expect(100, optional=True),
    expect(180, optional=True),
    expect(200, log="answered"),
    ack(sequence=2),
    pause(),
    in_dialog("BYE", 3),
    expect(200, log="ended"),
)
CALLER_IS_REFUSED = scenario(
    "caller with a password is refused",
    invite(),
    expect(100, optional=True),
    CHALLENGED,
    ack_failure(),
    proven(again(invite(), 2)),
    expect(100, optional=True),
    expect(503),
    ack_failure(),
)
CALLER_WITH_WRONG_PASSWORD = scenario(
    "caller with a wrong password",
    invite(),
    expect(100, optional=True),
    CHALLENGED,
    ack_failure(),
    proven(again(invite(), 2), WRONG),
    expect(100, optional=True),
    expect(401),
    ack_failure(),
)


def register(contact: str, sequence: int, *, proof: str = "", expires: int = 600) -> str:
    text = "\n".join([
        "REGISTER sip:[remote_ip]:[remote_port] SIP/2.0",
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
        "Max-Forwards: 70",
        f"From: <sip:{USER}@[remote_ip]>;tag=[pid]r[call_number]",
        f"To: <sip:{USER}@[remote_ip]>",
        "Call-ID: [call_id]",
        f"CSeq: {sequence} REGISTER",
        f"Contact: {contact}",
        f"Expires: {expires}",
        *([proof] if proof else []),
        "Content-Length: 0",
        "", "",
    ])  # fmt: skip
    return f'<send retrans="500"><![CDATA[\n{text}\n]]></send>'


def phone_registers(contact: str, expires: int = 600) -> str:
    return scenario(
        "a telephone registers",
        register(contact, 1, expires=expires),
        CHALLENGED,
        register(contact, 2, proof=PROOF, expires=expires),
        expect(200),
    )


def challenge(status: str, header: str) -> str:
    return reply(status).replace("Content-Length:", f"{header}: {CHALLENGE}\nContent-Length:", 1)


def verified(method: str) -> str:
    """A request with the right answer to our challenge, or the call fails."""
    action = f'<verifyauth assign_to="right" username="{ACCOUNT}" password="{CARRIER_PASSWORD}"/>'
    rrs = ' rrs="true"' if method == "INVITE" else ""
    return f'<recv request="{method}"{rrs}><action>{action}</action></recv>' + (
        '<nop condexec="right" condexec_inverse="true">'
        '<action><error message="the credentials are wrong"/></action></nop>'
    )


CHALLENGING_VENDOR = scenario(
    "vendor that wants a password",
    receive("INVITE"),
    challenge("401 Unauthorized", "WWW-Authenticate"),
    receive("ACK"),
    verified("INVITE"),
    reply("180 Ringing"),
    reply("200 OK", body=sdp(), retransmit=True),
    receive("ACK", log="acked"),
    receive("BYE"),
    reply_in_dialog("200 OK", log="ended"),
)
NEVER_CONTENT_VENDOR = scenario(
    "vendor that challenges for ever",
    receive("INVITE"),
    challenge("407 Proxy Authentication Required", "Proxy-Authenticate"),
    receive("ACK"),
    receive("INVITE"),
    challenge("407 Proxy Authentication Required", "Proxy-Authenticate"),
    receive("ACK"),
)
REGISTRAR = scenario(
    "registrar",
    receive("REGISTER"),
    challenge("401 Unauthorized", "WWW-Authenticate"),
    verified("REGISTER"),
    reply("200 OK", contact=False).replace(
        "Content-Length:", "[last_Contact:];expires=3600\nContent-Length:", 1
    ),
)
PHONE_ANSWERS = scenarios.VENDOR


def switch_with_phones(lab: Lab) -> dict[str, Any]:
    body = document(lab.vendors, media_proxy=True)
    body["vendor_trunks"][0]["sip"] = {"auth": {"username": ACCOUNT, "password": CARRIER_PASSWORD}}
    body["rate_decks"].append({"name": "buy-phone", "currency": "EUR",
                               "rates": [{"prefix": "49", "price": "0"}]})  # fmt: skip
    phone = {"name": "alice", "account": "vendors", "rate_deck": "buy-phone",
             "host": f"registered:{USER}"}  # fmt: skip
    body["vendor_trunks"].append(phone)
    (customer,) = body["customer_trunks"]
    customer["vendor_trunks"] = ["dear"]
    phones = customer | {
        "name": "phones", "addresses": [], "vendor_trunks": ["cheap"],
        "credentials": [{"username": USER, "password": PASSWORD}],
    }  # fmt: skip
    inward = customer | {"name": "inward", "addresses": ["127.0.0.0/24"],
                         "vendor_trunks": ["alice"], "tech_prefix": "77"}  # fmt: skip
    body["customer_trunks"] += [phones, inward]
    body["settings"] = {"sip_digest_algorithms": "MD5"}
    return body


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("switch")) as lab:
        body = switch_with_phones(lab)
        lab.post("/v1/apply", body)
        lab.apply({**body, "customer_trunks": body["customer_trunks"][:1]})
        assert lab.post("/v1/apply", body)["changed"] == 0
        yield lab


class Ends:
    """SIPp processes of one test."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.called = str(next(_NUMBERS))
        self._folder = folder
        self._numbers = itertools.count(1)
        self.running: list[Sipp] = []

    def start(self, text: str, local: Address, *, called: str = "", calls: bool = True) -> Sipp:
        name = f"end{next(self._numbers)}"
        remote = self.lab.sip if calls else None
        end = Sipp(self._folder, name, text, local, remote, hold_ms=300,
                   called=called or self.called)  # fmt: skip
        self.running.append(end)
        return end.start()

    def finish(self) -> None:
        for end in self.running:
            assert end.wait() == 0, f"{end.name}: {end.errors()}"
        self.running.clear()

    def record(self, called: str = "") -> dict[str, Any]:
        (row,) = self.lab.wait_cdrs(1, called=called or self.called)
        return dict(self.lab.get(f"/v1/cdrs/{row['call_id']}"))


@pytest.fixture
def ends(lab: Lab, tmp_path: Path) -> Iterator[Ends]:
    ends = Ends(lab, tmp_path)
    yield ends
    for end in ends.running:
        end.stop()


def name_of(lab: Lab, kind: str, identity: str) -> str:
    return str(lab.get(f"/v1/{kind}/{identity}")["name"])


def at(host: str) -> Address:
    return host, free_port(host)


def registrations(lab: Lab, direction: str) -> list[dict[str, Any]]:
    return list(lab.get("/v1/registrations", direction=direction)["data"])


def test_a_call_with_a_password_to_a_vendor_that_wants_one(ends: Ends) -> None:
    ends.start(CHALLENGING_VENDOR, ends.lab.vendors["cheap"], calls=False)
    ends.start(CALLER_WITH_PASSWORD, at("127.1.0.1"))
    ends.finish()
    record = ends.record()
    assert (record["end_reason"], record["sip_code_out"]) == ("normal", 200)
    assert name_of(ends.lab, "customer_trunks", record["customer_trunk_id"]) == "phones"
    assert [one["sip_code"] for one in record["attempts"]] == [200]
    assert record["talk_ms"] >= 300


def test_a_wrong_password_is_no_call(ends: Ends) -> None:
    ends.start(CALLER_WITH_WRONG_PASSWORD, at("127.1.0.2"))
    ends.finish()
    assert ends.lab.cdrs(called=ends.called) == []


def test_a_vendor_that_challenges_for_ever_ends_the_attempt(ends: Ends) -> None:
    ends.start(NEVER_CONTENT_VENDOR, ends.lab.vendors["cheap"], calls=False)
    ends.start(CALLER_IS_REFUSED, at("127.1.0.3"))
    ends.finish()
    record = ends.record()
    assert [one["sip_code"] for one in record["attempts"]] == [407]
    assert record["sip_code_out"] == 503


def test_a_registered_phone_is_called_and_calls(ends: Ends) -> None:
    lab, phone = ends.lab, at(PHONE_HOST)
    contact = f"<sip:{USER}@{phone[0]}:{phone[1]}>"
    ends.start(phone_registers(contact), phone)
    ends.finish()
    (shown,) = registrations(lab, "in")
    assert (shown["username"], shown["state"]) == (USER, "registered")
    assert shown["source"] == f"{phone[0]}:{phone[1]};udp"

    # In: from a network that is told apart by its tech prefix, which is taken off.
    ends.start(PHONE_ANSWERS, phone, calls=False)
    ends.start(scenarios.CALLER, at("127.0.0.77"), called=f"77{ends.called}")
    ends.finish()
    record = ends.record()
    assert (record["end_reason"], record["called"]) == ("normal", f"77{ends.called}")
    assert name_of(lab, "customer_trunks", record["customer_trunk_id"]) == "inward"
    assert name_of(lab, "vendor_trunks", record["vendor_trunk_id"]) == "alice"
    assert record["attempts"][0]["target"] == f"{phone[0]}:{phone[1]};udp"

    # Out: by its password.
    ends.called = str(next(_NUMBERS))
    ends.start(CHALLENGING_VENDOR, lab.vendors["cheap"], calls=False)
    ends.start(CALLER_WITH_PASSWORD, at("127.1.0.4"))
    ends.finish()
    assert ends.record()["end_reason"] == "normal"

    ends.start(phone_registers("*", expires=0), phone)
    ends.finish()
    assert registrations(lab, "in") == []
    ends.called = str(next(_NUMBERS))
    nobody = scenario("nobody", invite(), PROVISIONAL, expect(480), ack_failure())
    ends.start(nobody, at("127.0.0.78"), called=f"77{ends.called}")
    ends.finish()
    assert ends.record()["end_reason"] == "not_registered"


def test_the_switch_registers_at_a_vendor(ends: Ends) -> None:
    lab = ends.lab
    registrar = at(VENDOR_HOST)
    ends.start(REGISTRAR, registrar, calls=False)
    trunk = {
        "name": "line", "account": "vendors", "rate_deck": "buy-dear",
        "host": registrar[0], "port": registrar[1],
        "sip": {"auth": {"username": ACCOUNT, "password": CARRIER_PASSWORD},
                "register": {"enabled": True}},
    }  # fmt: skip
    lab.post("/v1/apply", {"vendor_trunks": [trunk]})

    def registered() -> dict[str, Any] | None:
        found = registrations(lab, "out")
        return found[0] if found and found[0]["state"] == "registered" else None

    shown = eventually(registered, what="registered")
    assert (shown["username"], shown["status"]) == (ACCOUNT, 200)
    assert shown["contact"] == f"sip:{ACCOUNT}@{lab.sip[0]}:{lab.sip[1]}"
    assert CARRIER_PASSWORD not in lab.http.get("/v1/vendor_trunks").text
    ends.finish()

    ends.start(REGISTRAR.replace("[last_Contact:];expires=3600\n", ""), registrar, calls=False)
    lab.post("/v1/apply", {"vendor_trunks": [trunk | {"enabled": False}]})
    eventually(lambda: True if registrations(lab, "out") == [] else None, what="left")
