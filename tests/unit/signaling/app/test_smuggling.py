"""No header gets in or out by another name, another line or another place.

Raw bytes go into a whole switch whose trunks let through all they may; raw bytes are looked at
on the other leg.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.common.causes import EndReason
from services.common.sip_options.trunk import CustomerSip, VendorSip, read_options
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.core.values import Candidate
from services.signaling.sip.message import parse
from services.signaling.sip.names import SINGLE
from tests.bench import bench_signaling as messages
from tests.bench.bench_signaling import CALLER, VENDOR, Bench

HEADERS: dict[str, Any] = {"pass": "all", "strip": ["X-Internal", "Subject"]}
NAMED = re.compile(rb"(?i)\r\n(x-internal|subject|s)[^\w!%*+`'~.\-]")
"""A line the next hop might read as one of the stripped headers."""
BYTES = [bytes([value]) for value in range(256)]
BODY = messages.SDP


def switch(
    customer: dict[str, Any] | None = None,
    vendor: dict[str, Any] | None = None,
    candidate: Candidate | None = None,
) -> Bench:
    bench = Bench(candidate=candidate)
    identity = {"trusted": True, "diversion": "pass", "p_asserted_identity": "pass",
                "history_info": "pass", "display": "pass"}  # fmt: skip
    ours = {"headers": HEADERS, "identity": identity}
    theirs = {"headers": HEADERS, "identity": {"trusted": True, "called_identity": "pass"}}
    sip = read_options(CustomerSip, theirs if customer is None else customer)
    bench.switch.trunks = TrunkTable(
        {"127.0.0.1": CustomerTrunk(id="ctr_1", account_id="acc_1", sip=sip)},
        vendors={"vtr_1": read_options(VendorSip, ours if vendor is None else vendor)},
    )
    return bench


def invite(*lines: bytes, number: int = 1, raw: bytes = b"") -> bytes:
    """The usual INVITE with more header lines, and without its Subject."""
    message = (raw or messages._invite(number)).replace(b"Subject: Performance Test\r\n", b"")
    extra = b"".join(line + b"\r\n" for line in lines)
    return message.replace(b"Max-Forwards: 70\r\n", b"Max-Forwards: 70\r\n" + extra)


def to_vendor(sent: list[bytes]) -> list[bytes]:
    return [data for data in sent if data.startswith(b"INVITE ")]


def is_named(message: bytes) -> bool:
    """Whether a header of it might be read as a stripped one."""
    return NAMED.search(message.partition(b"\r\n\r\n")[0]) is not None


def refused(bench: Bench, data: bytes, *statuses: bytes) -> None:
    """It is answered with one of these, and nothing of it reaches the other leg."""
    sent = bench.feed(data, CALLER)
    assert not to_vendor(sent)
    finals = [one for one in sent if not one.startswith(b"SIP/2.0 100")]
    assert len(finals) == 1
    assert finals[0][8:11] in statuses, finals[0]
    assert bench.switch.counters.errors == 0


# --- class 8: whitespace and control characters before the colon --------------------------


@pytest.mark.parametrize("name", [b"X-Internal", b"x-INTERNAL", b"Subject", b"s", b"S"])
async def test_no_byte_before_the_colon_brings_a_stripped_header_through(name: bytes) -> None:
    bench = switch()
    for number, byte in enumerate(BYTES):
        sent = bench.feed(invite(name + byte + b": secret", number=number), CALLER)
        for message in to_vendor(sent):
            assert not is_named(message), (byte, message)
            parse(message)
        if byte in b" \t:":
            assert b"secret" not in b"".join(sent)  # it is that header, and it is stripped
    assert bench.switch.counters.errors == 0


@pytest.mark.parametrize("name", [b"X-Internal", b"subJECT", b"s"])
async def test_nor_in_responses(name: bytes) -> None:
    for byte in BYTES:
        bench = switch()
        (dialled,) = to_vendor(bench.feed(invite(), CALLER))
        line = name + byte + b": secret\r\nCSeq"
        ringing = messages._reply(dialled, b"180 Ringing").replace(b"CSeq", line, 1)
        for message in bench.feed(ringing, VENDOR):
            assert not is_named(message), (byte, message)
        assert bench.switch.counters.errors == 0


@pytest.mark.parametrize(
    "line",
    [
        b"Subject:\r\n secret", b"Subject \t :\r\n\tsecret", b"sUbJeCt:secret", b"S\t:secret",
        b"X-A: 1\r\n Subject: secret",
    ],
)  # fmt: skip
async def test_folded_compact_and_odd_forms(line: bytes) -> None:
    (dialled,) = to_vendor(switch().feed(invite(line), CALLER))
    assert not is_named(dialled)
    assert (b"secret" in dialled) is line.startswith(b"X-A")
    assert b"\r\n " not in dialled


@pytest.mark.parametrize("byte", [b"\r", b"\n"])
async def test_bare_line_breaks_start_no_line(byte: bytes) -> None:
    # its lines cannot be echoed without sending the break on: there is no answer
    assert switch().feed(invite(b"X-A: 1" + byte + b"X-Internal: secret"), CALLER) == []


@pytest.mark.parametrize(
    "line",
    [
        b"v: SIP/2.0/UDP evil", b"m: <sip:evil>", b"Record-Route: <sip:evil;lr>",
        b"Route: <sip:evil;lr>", b"k: evil", b"Allow: evil", b"u: evil", b"c: evil/evil",
        b"Authorization: Digest evil", b"Session-Expires: 90;evil", b"x: 90;evil",
        b"Replaces: evil;to-tag=1;from-tag=2", b"r: <sip:evil>", b"b: <sip:evil>", b"o: evil",
        b"Path: <sip:evil>", b"P-Preferred-Identity: <sip:1@evil>",
        b"Remote-Party-ID: <sip:1@evil>", b"P-Charge-Info: <sip:1@evil>", b"a: *;evil",
        b"User-Agent: evil", b"Server: evil", b"Warning: 399 evil \"x\"", b"Date: evil",
    ],
)  # fmt: skip
async def test_all_is_not_what_makes_a_dialog_or_names_a_party(line: bytes) -> None:
    bench = switch()
    for message in to_vendor(bench.feed(invite(line), CALLER)):
        assert (b"evil" in message) is line.startswith(b"Date")
    assert bench.switch.counters.errors == 0


# --- class 9: line breaks in what is configured or dialled ------------------------------


EVIL = "1\r\nRoute: <sip:evil>\r\nX: "


async def test_line_breaks_in_numbers_are_escaped() -> None:
    candidate = Candidate(
        vendor_trunk_id="vtr_1", account_id="acc_2", host="127.0.0.1", port=25080,
        caller=EVIL, called=EVIL,
    )  # fmt: skip
    for options in ({}, {"identity": {"display": "pass", "p_preferred_identity": "caller"}}):
        bench = switch({}, options, candidate)
        (dialled,) = to_vendor(bench.feed(invite(), CALLER))
        assert b"\r\nRoute:" not in dialled
        assert b"%0D%0ARoute" in dialled
        assert b"\r\nX:" not in dialled


async def test_line_breaks_in_received_names_and_texts_stay_what_they_are() -> None:
    lines = (
        b'P-Asserted-Identity: "a%0D%0ARoute: b" <sip:1%0d%0aRoute%3A%20x@h>',
        b"X-A: %0d%0aRoute: <sip:evil>",
    )
    raw = messages._invite(1).replace(b"From: sipp", b'From: "%0D%0ARoute: <sip:evil>"')
    (dialled,) = to_vendor(switch().feed(invite(*lines, raw=raw), CALLER))
    assert b"\r\nRoute" not in dialled
    assert dialled.count(b"%0D%0ARoute") == 2


# --- class 10: headers in URIs ----------------------------------------------------------


IN_URI = b"?Route=%3Csip:evil%3E&Replaces=evil&Identity=evil"


async def test_headers_in_the_request_uri_are_refused() -> None:
    raw = messages._invite(1).replace(b" SIP/2.0\r\nVia", IN_URI + b" SIP/2.0\r\nVia", 1)
    refused(switch(), invite(raw=raw), b"400")


@pytest.mark.parametrize(
    "line",
    [
        b"P-Asserted-Identity: <sip:1@h%b>", b"Diversion: <sip:1@h%b>",
        b"History-Info: <sip:1@h%b>;index=1", b"Refer-To: <sip:1@h%b>",
        b"P-Preferred-Identity: <sip:1@h%b>", b"Remote-Party-ID: <sip:1@h%b>",
    ],
)  # fmt: skip
async def test_headers_in_the_uris_of_an_invite_go_nowhere(line: bytes) -> None:
    (dialled,) = to_vendor(switch().feed(invite(line % IN_URI), CALLER))
    assert b"evil" not in dialled


async def test_headers_in_from_to_and_contact_go_nowhere() -> None:
    bench = switch()
    raw = messages._invite(1)
    raw = raw.replace(b"<sip:sipp@127.0.0.1:25070>", b"<sip:sipp@127.0.0.1:25070%b>" % IN_URI)
    raw = raw.replace(b"To: 2000 <sip:2000@127.0.0.1:25060>", b"To: <sip:2000@h%b>" % IN_URI)
    raw = raw.replace(
        b"Contact: sip:sipp@127.0.0.1:25070", b"Contact: <sip:sipp@127.0.0.1:25070%b>" % IN_URI
    )
    (dialled,) = to_vendor(bench.feed(invite(raw=raw), CALLER))
    assert b"evil" not in dialled
    bench.feed(messages._reply(dialled, b"200 OK", BODY), VENDOR)
    call = next(iter(bench.switch.calls.values()))
    sent = bench.feed(_ack(bench), CALLER)
    bench.wire.sent = []
    bench.switch.hang_up(call.record.call_id, EndReason.ADMIN_DISCONNECT)
    byes = [data for data in [*sent, *bench.wire.sent] if data.startswith(b"BYE ")]
    assert len(byes) == 2
    for bye in byes:
        lines = bye.split(b"\r\n")
        assert b"?" not in lines[0]
        assert not [line for line in lines if line.lower().startswith((b"route", b"replaces"))]


def _ack(bench: Bench) -> bytes:
    ok = next(data for data in bench.wire.sent if data.startswith(b"SIP/2.0 200"))
    return messages._in_dialog(b"ACK", 1, ok, 1)


# --- class 11: what may stand once, twice -----------------------------------------------


@pytest.mark.parametrize("name", sorted(SINGLE))
async def test_a_second_single_header_is_refused(name: str) -> None:
    values = {"cseq": b"1 INVITE", "max-forwards": b"70", "expires": b"60", "call-id": b"other",
              "content-length": b"0", "content-type": b"application/sdp"}  # fmt: skip
    line = name.encode() + b": " + values.get(name, b"<sip:evil@h>;tag=evil")
    for short in (line, *([line.upper()] if name in ("from", "to") else ())):
        refused(switch(), invite(short, short), b"400")


@pytest.mark.parametrize("params", [b";tag=", b";tag=a;tag=b", b";TAG=a;tag", b";tag=;tag=a"])
async def test_an_empty_or_second_tag_begins_no_call_and_joins_none(params: bytes) -> None:
    raw = messages._invite(1).replace(b"2000@127.0.0.1:25060>\r", b"2000@h>" + params + b"\r")
    refused(switch(), invite(raw=raw), b"400")


# --- class 12: malformed Via, tags and digest parameters --------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Via: SIP/2.0/UDP 127.0.0.1", b"Via: SIP/2.0/UDP 127.0.0.1\x16"),
        (b";branch=z9hG4bK-i-1", b";branch=z9hG4bK-i-1;x\x16y"),
        (b";branch=z9hG4bK-i-1", b';branch=z9hG4bK-i-1;x="a'),
        (b"To: 2000 <sip:2000@127.0.0.1:25060>", b'To: <sip:2000@h>;x="a'),
        (b"To: 2000 <sip:2000@127.0.0.1:25060>", b'To: "2000 <sip:2000@h>'),
        (b";tag=t1", b";tag=t1;x=\x16"),
        (b";tag=t1", b';tag="t1'),
        (b";tag=t1", b";tag=" + b"t" * 60_000),
        (b";branch=z9hG4bK-i-1", b";branch=z9hG4bK" + b"i" * 60_000),
    ],
)
async def test_malformed_via_and_tags_reach_nobody(before: bytes, after: bytes) -> None:
    raw = messages._invite(1)
    assert before in raw
    bench = switch()
    sent = bench.feed(raw.replace(before, after, 1), CALLER)
    assert not to_vendor(sent)
    assert [one[8:11] for one in sent] in ([b"400"], [])
    assert bench.switch.counters.errors == 0
    assert not bench.switch.calls


@pytest.mark.parametrize(
    "value",
    [b"Digest realm", b'Digest username="a', b"Digest " + b"a" * 8_000, b"\x16", b"Basic =,,;"],
)
async def test_malformed_credentials_reach_nobody(value: bytes) -> None:
    bench = switch()
    lines = (b"Authorization: " + value, b"Proxy-Authorization: " + value)
    for message in to_vendor(bench.feed(invite(*lines), CALLER)):
        assert b"uthorization" not in message
    assert bench.switch.counters.errors == 0
