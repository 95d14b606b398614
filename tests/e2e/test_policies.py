"""Options of trunks with SIPp on both ends: numbers, headers, ringing, every mapping of codes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from tests.e2e import ladders
from tests.e2e.stage import Stage
from tests.integration.media.parties import Party as Audio
from tests.support import scenarios
from tests.support.lab import Lab, document
from tests.support.phones import audio_of
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
)  # fmt: skip
from tests.support.signaling.party import Party as Phone
from tests.support.signaling.party import message
from tests.support.signaling.party import reply as reply_of

VENDOR = {
    "identity": {
        "trusted": True, "p_asserted_identity": "pass", "remote_party_id": "caller",
        "caller_format": "plus", "user_phone": True, "host": "ours.example",
    },
    "headers": {"pass": "all", "strip": ["X-Internal"], "add": {"X-Carrier": "tandem"}},
    "codes": {
        "treat_as": {"500": 486}, "status_causes": {"480": 20}, "stop_causes": [1],
        "hunt_on": [404], "reason": "inject",
    },
    "early_media": {"stop_hunting_after_rtp": True},
}  # fmt: skip
CUSTOMERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "reasons": {"codes": {"reasons": {"busy": 600, "no_rate": 480}}},
    "prefer_q850": {"codes": {"prefer_q850": True}},
    "cause_status": {"codes": {"prefer_q850": True, "cause_status": {"17": 603}}},
    "status_map": {"codes": {"status_map": {"486": 480, "other": 0}}},
    "cause_map": {"codes": {"cause_map": {"17": 21}}},
    "reason_none": {"codes": {"reason": "none"}},
    "reason_received": {"codes": {"reason": "received"}},
    "reason_inject": {"codes": {"reason": "inject"}},
    "pbx": {
        "identity": {"trusted": True},
        "numbers": {"caller_from": "pai"},
        "headers": {"add": {"X-Switch": "tandem"}},
        "early_media": {"ringing": "183", "forks": "one", "stop_hunting_after": "sdp"},
    },
    "impatient": {"timeouts": {"setup_ms": 1500}},
}
HOSTS = {name: f"127.0.0.{number}" for number, name in enumerate(CUSTOMERS, 20)}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("policies")) as lab:
        body = document(lab.vendors, media_proxy=True)
        for trunk in body["vendor_trunks"]:
            trunk["sip"] = VENDOR
        (usual,) = body["customer_trunks"]
        body["customer_trunks"] = [
            {**usual, "name": name, "addresses": [HOSTS[name]], "sip": options}
            for name, options in CUSTOMERS.items()
        ]
        lab.apply(body)
        yield lab


@pytest.fixture
def stage(lab: Lab, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(lab, tmp_path)
    yield stage
    stage.close()


def with_headers(step: str, *lines: str) -> str:
    """A message with more header lines."""
    place = r"\n(CSeq:|\[last_CSeq:\])"
    return re.sub(place, lambda m: "\n".join(["", *lines, m[1]]), step, count=1)


def checked(step: str, *patterns: str, absent: str = "") -> str:
    """A received message that must match every pattern, and none of ``absent``."""
    checks = [(pattern, "check_it") for pattern in patterns]
    checks += [(absent, "check_it_inverse")] if absent else []
    actions = "".join(
        f'<ereg regexp="{escape(pattern)}" search_in="msg" {how}="true" assign_to="seen"/>'
        for pattern, how in checks
    )
    head, tail = (step[:-2], "") if step.endswith("/>") else step.rsplit("</recv>", 1)
    inside = head.replace("<action>", f"<action>{actions}", 1)
    if inside == head:
        inside = f"{head}<action>{actions}</action>"
    return f"{inside}</recv>{tail}"


def play(name: str, *steps: str) -> str:
    text = scenario(name, *steps)
    if 'assign_to="seen"' not in text:
        return text
    return text.replace("\n</scenario>", '\n<Reference variables="seen"/>\n</scenario>')


def refusing(start: str, *lines: str, **how: str) -> str:
    first = checked(receive("INVITE"), *how.values()) if how else receive("INVITE")
    return play(start, first, with_headers(reply(start), *lines), receive("ACK"))


def refused(status: int, *patterns: str, absent: str = "") -> str:
    final = expect(status)
    if patterns or absent:
        final = checked(final, *patterns, absent=absent)
    return play(f"refused {status}", invite(), PROVISIONAL, final, ack_failure())


REASON_17 = "Reason: Q.850;cause=17"
BUSY = refusing("486 Busy Here", REASON_17)
CODES: dict[str, tuple[str, dict[str, str], str, dict[str, Any]]] = {
    # option: customer, what the vendors say, what the customer sees, what the record says
    "treat_as": (
        "plain", {"cheap": refusing("500 Oops")}, refused(486),
        {"end_reason": "busy", "sip_code_in": 500, "q850_in": 41, "sip_code_out": 486},
    ),
    "status_causes": (
        "plain", {"cheap": refusing("480 No"), "dear": refusing("480 No")}, refused(480),
        {"q850_in": 20, "q850_out": 18, "attempt_count": 2},
    ),
    "stop_causes": (
        "plain", {"cheap": refusing("503 No", "Reason: Q.850;cause=1")}, refused(503),
        {"q850_in": 1, "attempt_count": 1},
    ),
    "hunt_on": (
        "plain", {"cheap": refusing("404 No"), "dear": refusing("404 No")}, refused(404),
        {"attempt_count": 2},
    ),
    "reasons": (
        "reasons", {"cheap": BUSY}, refused(600),
        {"end_reason": "busy", "sip_code_in": 486, "sip_code_out": 600},
    ),
    "prefer_q850": (
        "prefer_q850", {"cheap": refusing("486 No", "Reason: Q.850;cause=28")}, refused(484),
        {"sip_code_in": 486, "sip_code_out": 484, "q850_in": 28, "q850_out": 28},
    ),
    "cause_status": (
        "cause_status", {"cheap": BUSY}, refused(603),
        {"sip_code_in": 486, "sip_code_out": 603, "q850_in": 17},
    ),
    "status_map": (
        "status_map", {"cheap": BUSY}, refused(480), {"sip_code_in": 486, "sip_code_out": 480},
    ),
    "status_map other": (
        "status_map", {"cheap": refusing("580 A"), "dear": refusing("580 A")}, refused(580),
        {"sip_code_in": 580, "sip_code_out": 580},
    ),
    "cause_map": (
        "cause_map", {"cheap": BUSY}, refused(486, "Reason: Q.850;cause=21"),
        {"q850_in": 17, "q850_out": 21, "reason_header": "Q.850;cause=17"},
    ),
    "reason pass": ("plain", {"cheap": BUSY}, refused(486, REASON_17), {"q850_out": 17}),
    "reason none": (
        "reason_none", {"cheap": BUSY}, refused(486, absent="Reason:"), {"q850_in": 17},
    ),
    "reason received": (
        "reason_received", {"cheap": refusing("486 No")}, refused(486, absent="Reason:"),
        {"q850_in": 17},
    ),
    "reason inject": (
        "reason_inject", {"cheap": refusing("486 No", "Reason: SIP;cause=200")},
        refused(486, REASON_17), {"reason_header": "SIP;cause=200", "q850_out": 17},
    ),
}  # fmt: skip


@pytest.mark.parametrize("option", CODES)
def test_every_mapping_of_codes(stage: Stage, option: str) -> None:
    customer, vendors, caller, facts = CODES[option]
    stage.caller_host = HOSTS[customer]
    record = stage.play(caller, vendors)
    assert {name: record[name] for name in facts} == facts


def test_a_refusal_of_ours_has_the_configured_status(stage: Stage) -> None:
    stage.called, stage.caller_host = "33" + stage.called, HOSTS["reasons"]
    record = stage.play(refused(480), {})
    assert (record["end_reason"], record["sip_code_out"]) == ("no_rate", 480)


def test_reason_in_the_cancel_to_a_vendor(stage: Stage) -> None:
    stage.caller_host = HOSTS["plain"]
    vendor = play(
        "cancelled with a reason",
        receive("INVITE"),
        ladders.RINGING,
        checked(receive("CANCEL"), "Reason: Q.850;cause=16"),
        reply_in_dialog("200 OK"),
        scenarios.reply_terminated(),
        receive("ACK"),
    )
    record = stage.play(ladders.CANCEL_WHILE_RINGING, {"cheap": vendor})
    assert record["end_reason"] == "cancelled"


def test_identity_headers_and_early_media_of_one_call(stage: Stage) -> None:
    stage.caller_host = HOSTS["pbx"]
    vendor = play(
        "vendor looks at the INVITE",
        checked(
            receive("INVITE"),
            "From: <sip:.4930123456@ours.example;user=phone>",
            'P-Asserted-Identity: "Ann" <sip:4930123456@ours.example>',
            "Remote-Party-ID: <sip:.4930123456@ours.example;user=phone>;party=calling",
            "X-Carrier: tandem",
            "X-Note: passes",
            absent="X-Internal",
        ),
        reply("180 Ringing", body=sdp()),
        reply("200 OK", body=sdp(), retransmit=True),
        receive("ACK"),
        receive("BYE"),
        reply_in_dialog("200 OK"),
    )
    asserted = 'P-Asserted-Identity: "Ann" <sip:4930123456@192.0.2.1>'
    caller = play(
        "caller asserts a number and hears 183",
        with_headers(invite(), asserted, "X-Note: passes", "X-Internal : 1"),
        expect(100, optional=True),
        checked(expect(183), "X-Switch: tandem", "m=audio"),
        checked(expect(200, log="answered"), "X-Switch: tandem"),
        ack(),
        pause(300),
        in_dialog("BYE", 2),
        expect(200),
    )
    record = stage.play(caller, {"cheap": vendor})
    assert (record["caller"], record["caller_billed"]) == ("15551230000", "4930123456")
    assert record["end_reason"] == "normal"


def test_a_private_caller_is_told_to_trusted_vendors_only_in_their_headers(stage: Stage) -> None:
    stage.caller_host = HOSTS["pbx"]
    vendor = refusing(
        "486 Busy Here",
        name='From: "Anonymous" <sip:anonymous@anonymous.invalid>',
        number="P-Asserted-Identity: <sip:4930123456@ours.example>",
        privacy="Privacy: id",
    )
    lines = ("P-Asserted-Identity: <sip:4930123456@192.0.2.1>", "Privacy: id")
    caller = play(
        "private caller",
        with_headers(invite(), *lines),
        PROVISIONAL,
        expect(486),
        ack_failure(),
    )
    record = stage.play(caller, {"cheap": vendor})
    assert record["attempts"][0]["caller"] == "4930123456"


def test_early_media_keeps_the_caller_with_its_vendor(stage: Stage) -> None:
    stage.caller_host = HOSTS["pbx"]
    vendor = play(
        "plays and refuses",
        receive("INVITE"),
        reply("183 Session Progress", body=sdp()),
        pause(500),  # what is refused before it reached the caller keeps nobody
        reply("503 Service Unavailable"),
        receive("ACK"),
    )
    record = stage.play(refused(503), {"cheap": vendor})
    assert record["attempt_count"] == 1


def test_audio_keeps_the_caller_with_its_vendor(stage: Stage, lab: Lab) -> None:
    async def call() -> None:
        near, far = Audio(HOSTS["plain"]), Audio(lab.vendors["cheap"][0])
        async with Phone.at(HOSTS["plain"]) as caller, Phone.at(*lab.vendors["cheap"]) as vendor:
            number: dict[str, Any] = {"call_id": stage.called, "number": stage.called}
            invite = message(caller, "INVITE", lab.sip, body=near.sdp(), **number)
            caller.send(invite, lab.sip)
            received = await vendor.request("INVITE")
            vendor.send(reply_of(vendor, received, 183, far.sdp()), lab.sip)
            await caller.response(183)
            far.relay = audio_of(received)
            far.talk()
            await near.heard()
            # Media tells signaling of the audio before it answers for another early SDP.
            vendor.send(reply_of(vendor, received, 183, far.sdp()), lab.sip)
            await caller.response(183)
            vendor.send(reply_of(vendor, received, 503), lab.sip)
            await vendor.request("ACK")
            await caller.response(503)
            caller.send(message(caller, "ACK", lab.sip, to_tag="any", **number), lab.sip)
        near.close()
        far.close()

    asyncio.run(call())
    assert stage.record()["attempt_count"] == 1


def test_setup_takes_no_longer_than_the_customer_allows(stage: Stage) -> None:
    stage.caller_host = HOSTS["impatient"]
    record = stage.play(refused(408), {"cheap": ladders.NO_ANSWER_VENDOR})
    assert (record["end_reason"], record["sip_code_out"]) == ("setup_timeout", 408)
    assert [attempt["end_reason"] for attempt in record["attempts"]] == ["setup_timeout"]
