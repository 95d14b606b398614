"""A call machine driven by hand: SIP messages go in and come out as bytes, time is literal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TypeVar

import msgspec

from services.common.causes import EndReason
from services.common.events import CallEnded
from services.signaling.core.call import Call
from services.signaling.core.commands import Command, Emit, Keep, KeepEnd, Owner, Respond
from services.signaling.core.commands import Request as Dial
from services.signaling.core.context import Context
from services.signaling.core.reach import Reach
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.core.values import Candidate, Credit, MediaAnswer, Plan
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import RequestDraft, response_to
from services.signaling.sip.message import Request, Response, parse

CALLER = Peer("udp", "192.0.2.10", 5060, 1)
STRANGER = Peer("udp", "203.0.113.66", 5060, 1)
OFFER = (
    b"v=0\r\no=a 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 8\r\n"
)
ANSWER = OFFER.replace(b"192.0.2.10", b"198.51.100.1")
WALL = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
TRUNK = CustomerTrunk(id="ctr_1", account_id="acc_1")

CommandT = TypeVar("CommandT")


def candidate(number: int = 1, **changes: object) -> Candidate:
    base = Candidate(
        vendor_trunk_id=f"vtr_{number}",
        account_id="acc_2",
        host=f"198.51.100.{number}",
        caller="1000",
        called="2000",
        buy_terms=b'{"buy":%d}' % number,
    )
    return msgspec.structs.replace(base, **changes)


def plan(*candidates: Candidate, max_call_s: int = 0, refused: str = "") -> Plan:
    return Plan(
        refused=refused,
        account_id="acc_1",
        caller_billed="1000",
        called_billed="2000",
        sell_terms=b'{"sell":1}',
        candidates=candidates,
        explanation=b'{"because":"test"}',
        max_call_s=max_call_s,
    )


def context(addresses: Mapping[str, str] | None = None) -> Context:
    tags, call_ids = count(1), count(1)
    return Context(
        node="n1",
        advertised="203.0.113.1:5060",
        new_tag=lambda: f"tag{next(tags)}",
        new_call_id=lambda: f"egress{next(call_ids)}",
        chance=lambda: 0.5,
        reach=Reach(
            {name: (address,) for name, address in (addresses or {}).items()},
            {},
            draw=lambda: 0.0,
            own=frozenset({("203.0.113.1", 5060)}),
        ),
    )


def wire_request(
    method: str,
    *,
    to_tag: str = "",
    from_tag: str = "caller",
    call_id: str = "ingress@192.0.2.10",
    cseq: int = 1,
    body: bytes = b"",
    headers: Sequence[str] = (),
    contact: str = "sip:1000@192.0.2.10:5060",
    max_forwards: str = "70",
    uri: str = "sip:2000@203.0.113.1",
    from_uri: str = "sip:1000@192.0.2.10",
    content_type: str = "application/sdp",
) -> Request:
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK{method}{cseq}{from_tag}",
        f"From: <{from_uri}>;tag={from_tag}",
        "To: <sip:2000@203.0.113.1>" + (f";tag={to_tag}" if to_tag else ""),
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        f"Contact: <{contact}>",
        *([f"Max-Forwards: {max_forwards}"] if max_forwards else []),
        *headers,
    ]
    if body:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"Content-Length: {len(body)}", "", ""]
    message = parse("\r\n".join(lines).encode("latin-1") + body)
    assert isinstance(message, Request)
    return message


def received(draft: RequestDraft) -> Request:
    """What the peer reads when ``draft`` is sent."""
    message = parse(draft.wire("Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKours"))
    assert isinstance(message, Request)
    return message


def answer_to(
    draft: RequestDraft,
    status: int,
    *,
    tag: str = "callee",
    body: bytes = b"",
    headers: Sequence[str] = (),
    contact: str = "<sip:2000@198.51.100.1:5060>",
) -> Response:
    """The peer's response to ``draft``."""
    reply = response_to(
        received(draft),
        status,
        to_tag=tag,
        headers=[*([f"Contact: {contact}"] if contact else []), *headers],
        body=body,
    )
    message = parse(reply.data)
    assert isinstance(message, Response)
    return message


def response_in(command: Respond) -> Response:
    """What the peer reads of a response of ours."""
    message = parse(command.reply.data)
    assert isinstance(message, Response)
    return message


def only(commands: Sequence[Command], kind: type[CommandT]) -> CommandT:
    """The one command of this kind."""
    found = [command for command in commands if isinstance(command, kind)]
    assert len(found) == 1, commands
    return found[0]


def kinds(commands: Sequence[Command]) -> list[str]:
    """Class names in order; responses and requests with what they say.

    What is kept for a process that takes over is left out: it is no step of the call.
    """
    names = []
    for command in commands:
        if isinstance(command, (Keep, KeepEnd)):
            continue
        if isinstance(command, Respond):
            names.append(f"{command.leg} {command.reply.status}")
        elif isinstance(command, Dial):
            names.append(f"{command.leg} {command.draft.method}")
        elif isinstance(command, Emit):
            names.append(type(command.event).__name__)
        else:
            names.append(type(command).__name__)
    return names


class Machine:
    """One call under test. ``history`` holds every command it ever gave."""

    def __init__(
        self,
        *candidates: Candidate,
        invite: Request | None = None,
        shared: Context | None = None,
        credit: Credit | None = None,
        max_call_s: int = 0,
        trunk: CustomerTrunk | None = TRUNK,
    ) -> None:
        self.context = shared or context()
        self.invite = invite or wire_request("INVITE", body=OFFER)
        self.call = Call(self.context, "cal_1", self.invite, "invite", CALLER, 100.0, WALL)
        self.plan = plan(*(candidates or (candidate(),)), max_call_s=max_call_s)
        self.credit = credit or Credit(reservation_id="rsv_1", paid_ms=3_600_000)
        self.trunk = trunk
        self.history: list[Command] = []
        self.keys = count(1)
        self.ended_events: list[CallEnded] = []
        self.caller_cseq = 1
        self.callee_cseq = 0

    def take(self, commands: list[Command]) -> list[Command]:
        """Do what the driver would: give sent requests their keys, note the record."""
        for command in commands:
            if isinstance(command, Dial):
                command.owner.key = f"key{next(self.keys)}"
            if isinstance(command, Emit) and isinstance(command.event, CallEnded):
                self.ended_events.append(command.event)
        self.history += commands
        return commands

    # --- steps --------------------------------------------------------------------------

    def start(self, now: float = 100.0) -> list[Command]:
        return self.take(self.call.start(self.trunk, now))

    def dial(self, now: float = 100.0) -> Dial:
        """Up to the first INVITE (without media)."""
        self.start(now)
        self.take(self.call.on_plan(self.plan, now))
        return only(self.take(self.call.on_credit(self.credit, now)), Dial)

    def say(
        self,
        invite: Dial,
        status: int,
        now: float,
        *,
        body: bytes = b"",
        tag: str = "callee",
        headers: Sequence[str] = (),
        contact: bool = True,
    ) -> list[Command]:
        """The vendor responds to ``invite``; without ``contact`` only as ``headers`` say."""
        response = answer_to(
            invite.draft,
            status,
            body=body,
            tag=tag,
            headers=headers,
            contact="<sip:2000@198.51.100.1:5060>" if contact else "",
        )
        return self.take(self.call.on_response(invite.owner, response, now))

    def durable(self, now: float, *, durable: bool = True) -> list[Command]:
        return self.take(self.call.on_durable(now, durable=durable))

    def media(self, token: int, sdp: bytes, now: float, *, error: str = "") -> list[Command]:
        return self.take(self.call.on_media(token, MediaAnswer(sdp=sdp, error=error), now))

    def answer(self, now: float = 105.0, *, ack: bool = True) -> Dial:
        """A whole call up to its ACK; the INVITE the vendor got."""
        invite = self.dial()
        self.say(invite, 180, now - 2)
        self.say(invite, 200, now, body=ANSWER)
        self.durable(now)
        if ack:
            self.ack(now)
        return invite

    def ack(self, now: float, *, body: bytes = b"", key: str = "invite") -> list[Command]:
        message = wire_request("ACK", to_tag="tag1", body=body)
        return self.take(self.call.on_ack(message, key, now))

    def caller_sends(
        self,
        method: str,
        now: float,
        *,
        body: bytes = b"",
        key: str = "",
        headers: Sequence[str] = (),
        source: Peer = CALLER,
        to_tag: str = "tag1",
        max_forwards: str = "70",
        contact: str = "sip:1000@192.0.2.10:5060",
        content_type: str = "application/sdp",
    ) -> list[Command]:
        """A request inside the dialog with the caller."""  # fmt: skip
        self.caller_cseq += 1
        message = wire_request(
            method, to_tag=to_tag, cseq=self.caller_cseq, body=body, headers=headers,
            max_forwards=max_forwards, contact=contact, content_type=content_type,
        )  # fmt: skip
        return self.take(self.call.on_request(message, key or method.lower(), source, now))

    def callee_sends(
        self,
        invite: Dial,
        method: str,
        now: float,
        *,
        body: bytes = b"",
        key: str = "",
        headers: Sequence[str] = (),
        tag: str = "callee",
    ) -> list[Command]:
        """A request inside the dialog with the vendor."""  # fmt: skip
        self.callee_cseq += 1
        ours = received(invite.draft)
        message = wire_request(
            method, to_tag=ours.from_tag, from_tag=tag, call_id=ours.call_id,
            cseq=self.callee_cseq, body=body, headers=headers,
            contact="sip:2000@198.51.100.1:5060",
        )  # fmt: skip
        source = Peer("udp", invite.peer.host, 5060, 1)
        return self.take(self.call.on_request(message, key or f"b-{method.lower()}", source, now))

    def reply(
        self,
        request: Dial,
        status: int,
        now: float,
        *,
        body: bytes = b"",
        headers: Sequence[str] = (),
    ) -> list[Command]:
        """A response to a request of ours inside a dialog."""  # fmt: skip
        response = answer_to(request.draft, status, body=body, headers=headers)
        return self.take(self.call.on_response(request.owner, response, now))

    def fail(self, owner: Owner, status: int, now: float) -> list[Command]:
        return self.take(self.call.on_failure(owner, status, now))

    # --- facts --------------------------------------------------------------------------

    @property
    def record(self) -> CallEnded:
        """The one record of the call."""
        assert len(self.ended_events) == 1, kinds(self.history)
        return self.ended_events[0]

    @property
    def is_finished(self) -> bool:
        assert kinds(self.history).count("Finished") <= 1
        return kinds(self.history)[-1:] == ["Finished"]

    def final_response(self) -> int:
        """What the caller's INVITE was answered with in the end."""
        finals = [
            command.reply.status
            for command in self.history
            if isinstance(command, Respond)
            and command.key == "invite"
            and command.reply.status >= 200
        ]
        assert len(finals) == 1, finals
        return finals[0]

    def assert_ended(self, reason: EndReason, status: int) -> CallEnded:
        """It ended for this reason, the caller heard this status, nothing is left behind."""
        assert self.record.end_reason == reason
        assert self.final_response() == status == self.record.sip_code_out
        assert self.is_finished
        assert self.context.dialogs == {}
        assert self.context.customer_limits.calls("ctr_1") == 0
        return self.record
