"""Microseconds the SIP stack spends: ``python -m tests.bench.bench_sip``.

Single-threaded, best of several runs, nothing sent anywhere.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from itertools import count
from time import process_time

from services.signaling.sip.actions import DeliverRequest, DeliverResponse, Peer, Send
from services.signaling.sip.build import request, response_to
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Request, parse
from services.signaling.sip.validate import Capabilities, validate

CALLER = Peer("udp", "198.51.100.7", 5060)
SWITCH = Peer("udp", "192.0.2.10", 5060)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
    b"m=audio 10000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
)
EXTRA = [
    "Contact: <sip:442071234567@198.51.100.7:5060;transport=udp>",
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE",
    "Supported: timer, 100rel",
    "User-Agent: Acme SBC 7.1",
    "P-Asserted-Identity: <sip:442071234567@198.51.100.7>",
]


def layer(sent_by: str) -> TransactionLayer:
    numbers = count()
    return TransactionLayer(sent_by=sent_by, ids=lambda: f"{next(numbers):016x}")


class Call:
    """Whole calls between two layers: both ends of INVITE, 180, 200, ACK, BYE, 200."""

    def __init__(self) -> None:
        self.uac = layer("198.51.100.7:5060")
        self.uas = layer("192.0.2.10:5060")
        self.now = 0.0
        self.numbers = count()

    def run(self) -> None:
        self.now += 0.001
        draft = request(
            "INVITE",
            "sip:14155550123@192.0.2.10:5060",
            from_='"Alice" <sip:442071234567@198.51.100.7>;tag=a73kszlfl',
            to="<sip:14155550123@192.0.2.10>",
            call_id=f"{next(self.numbers)}@198.51.100.7",
            cseq=1,
            headers=EXTRA,
            body=SDP,
        )
        key, sent = self.uac.send_request(draft, SWITCH, self.now)
        trying, arrival = self.uas.on_message(_data(sent[0]), CALLER, self.now)
        assert isinstance(arrival, DeliverRequest)
        self.uac.on_message(_data(trying), SWITCH, self.now)
        Dialog.from_request(arrival.request, "b")
        contact = ["Contact: <sip:192.0.2.10>"]
        ringing = response_to(arrival.request, 180, to_tag="b", headers=contact)
        sent = self.uas.respond(arrival.key, ringing, self.now)
        self.uac.on_message(_data(sent[0]), SWITCH, self.now)
        reply = response_to(arrival.request, 200, to_tag="b", headers=contact, body=SDP)
        sent = self.uas.respond(arrival.key, reply, self.now)
        (answer,) = self.uac.on_message(_data(sent[0]), SWITCH, self.now)
        assert isinstance(answer, DeliverResponse)
        dialog = Dialog.from_response(draft, answer.response)
        sent = self.uac.send_ack(key, "b", dialog.ack(1), SWITCH)
        self.uas.on_message(_data(sent[0]), CALLER, self.now)
        _, sent = self.uac.send_request(dialog.request("BYE"), SWITCH, self.now)
        (bye,) = self.uas.on_message(_data(sent[0]), CALLER, self.now)
        assert isinstance(bye, DeliverRequest)
        sent = self.uas.respond(bye.key, response_to(bye.request, 200), self.now)
        self.uac.on_message(_data(sent[0]), SWITCH, self.now)
        self.uac.on_timer(self.now)
        self.uas.on_timer(self.now)


def _data(action: object) -> bytes:
    assert isinstance(action, Send)
    return action.data


def best_us(work: Callable[[], object], *, times: int, runs: int = 5) -> float:
    """Microseconds per call of ``work``, in the best run."""
    best = float("inf")
    for _ in range(runs):
        started = process_time()
        for _ in range(times):
            work()
        best = min(best, process_time() - started)
    return best / times * 1e6


def dialog_bytes() -> float:
    """Memory of the two dialogs of a call."""
    invite = _invite()
    gc.collect()
    tracemalloc.start()
    kept = []
    for n in range(2000):
        copy = parse(invite.replace(b"call-0", b"call-%d" % n))
        assert isinstance(copy, Request)
        kept.append((Dialog.from_request(copy, f"a{n}"), Dialog.from_request(copy, f"b{n}")))
        del copy
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(kept)


def _invite() -> bytes:
    draft = request(
        "INVITE",
        "sip:14155550123@192.0.2.10:5060",
        from_='"Alice" <sip:442071234567@198.51.100.7>;tag=a73kszlfl',
        to="<sip:14155550123@192.0.2.10>",
        call_id="call-0@198.51.100.7",
        cseq=1,
        headers=EXTRA,
        body=SDP,
    )
    return draft.wire("Via: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bK-524287-1---a1b2c3")


def run() -> dict[str, float]:
    """Microseconds by step, and bytes of the two dialogs of a call."""
    data = _invite()
    invite = parse(data)
    assert isinstance(invite, Request)
    capabilities = Capabilities()

    def parse_and_validate() -> None:
        message = parse(data)
        assert isinstance(message, Request)
        assert validate(message, capabilities) is None

    headers = ["Contact: <sip:192.0.2.10>"]
    return {
        "us_parse_invite": best_us(lambda: parse(data), times=20_000),
        "us_parse_and_validate_invite": best_us(parse_and_validate, times=10_000),
        "us_build_180": best_us(
            lambda: response_to(invite, 180, to_tag="b", headers=headers), times=20_000
        ),
        "us_build_200_with_sdp": best_us(
            lambda: response_to(invite, 200, to_tag="b", headers=headers, body=SDP), times=20_000
        ),
        "us_whole_call_both_ends": best_us(Call().run, times=3_000),
        "bytes_of_two_dialogs": dialog_bytes(),
    }


if __name__ == "__main__":
    for name, value in run().items():
        sys.stdout.write(f"{value:9.2f}  {name}\n")
