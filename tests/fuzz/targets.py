"""What is fuzzed: each target takes any bytes and raises only when something is wrong with us."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from services.media.core.exchange import Describe, Endpoint, NoOffer, Side, Unusable
from services.media.core.sdp import MAX_LINES, MAX_MEDIA, MalformedSdp
from services.media.core.sdp import parse as parse_sdp
from services.media.core.session import Session
from services.signaling.core.headers import INVITE_PASSES, numbers, passed_lines, q850_received
from services.signaling.core.offered_routes import from_response
from services.signaling.core.redirects import MOST_CONTACTS, redirected_to
from services.signaling.core.retry_after import retry_after_s
from services.signaling.sip.build import REASONS, header, request, response_to
from services.signaling.sip.dialog import Dialog
from services.signaling.sip.errors import MalformedMessage, UnsafeText
from services.signaling.sip.headers import parse_retry_after, readable
from services.signaling.sip.message import DEFAULT_LIMITS, Limits, Request, Response, parse
from services.signaling.sip.stream import Event, Framed, Framer, Unframeable
from services.signaling.sip.uri import check_uri, parse_uri
from services.signaling.sip.validate import check_response, validate
from tests.fuzz import lines, phones, scene
from tests.fuzz.course import Course
from tests.fuzz.wire import ANYTHING, attempt

INVITE_DRAFT = request(
    "INVITE", "sip:2000@198.51.100.1", from_="<sip:1000@192.0.2.1>;tag=ours",
    to="<sip:2000@198.51.100.1>", call_id="ours", cseq=1,
)  # fmt: skip
Target = Callable[[bytes], None]

_LISTS: Final = ("via", "route", "record-route", "contact", "reason", "diversion", "supported")


def parser(data: bytes) -> None:
    """A datagram: parsed, validated, answered; what passes validation can be relied upon."""
    course = Course(data)
    is_stream, raw = course.chance(3), course.rest()
    message, error = attempt(raw, stream=is_stream)
    if error is not None:
        assert error.status in REASONS
        if isinstance(error.message, Request):
            _look_into(error.message)
            _answer(error.message, error.status, error.reason)
    if message is None:
        return
    assert len(message.lines) <= DEFAULT_LIMITS.header_count
    _look_into(message)
    if isinstance(message, Request):
        rejection = validate(message, ANYTHING)
        if rejection is not None:
            _answer(message, rejection.status, rejection.reason)
        else:
            _rely_on(message)
            _answer(message, 200, None)
    else:
        _take(message)


def _take(response: Response) -> None:
    """As the layer does: what passes its checks can be relied upon."""
    assert len(redirected_to(response)) <= MOST_CONTACTS
    from_response(response)
    assert retry_after_s(response) >= 0
    try:
        response.cseq  # noqa: B018 - read before the checks, to find the transaction
    except MalformedMessage:
        return
    if check_response(response):
        assert isinstance(response.to_tag, str)
        parse_uri(response.to.uri)
        if response.status < 300 and response.cseq.method == "INVITE":
            invite = INVITE_DRAFT
            draft = Dialog.from_response(invite, response).ack(1)
            sent = parse(draft.wire("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"), stream=True)
            assert isinstance(sent, Request)
            assert validate(sent, ANYTHING) is None


def _look_into(message: Request | Response) -> None:
    """Every accessor either answers or raises the declared error."""
    looks: list[Callable[[], object]] = [
        lambda: message.via.params, lambda: message.via.asks_rport,
        lambda: message.via.stamped("192.0.2.1", 1), lambda: message.cseq,
        lambda: message.from_.address, lambda: message.from_tag, lambda: message.to.params,
        lambda: message.to_tag, lambda: message.contact, lambda: message.max_forwards,
        lambda: parse_retry_after(message.first("retry-after") or ""),
    ]  # fmt: skip
    if isinstance(message, Request):
        looks += [lambda: message.address, lambda: numbers(message)]
    for look in looks:
        with suppress(MalformedMessage):
            look()
    assert isinstance(message.call_id + message.content_type, str)
    for name in _LISTS:
        assert isinstance(message.headers(name), list)
    q850_received(message)
    assert "\n" not in readable(message.call_id)


def _answer(received: Request, status: int, reason: str | None) -> None:
    """An answer frames nothing but itself, and echoes every line as it came."""
    if not received.has("via"):
        return
    with suppress(MalformedMessage):
        received.stamp_source("192.0.2.1", 1)
    reply = response_to(received, status, reason, to_tag="ours")
    assert reply.data.startswith(b"SIP/2.0 %d " % status)
    head, blank, body = reply.data.partition(b"\r\n\r\n")
    assert (blank, body) == (b"\r\n\r\n", b"")
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\r" not in head.replace(b"\r\n", b"")
    for name in ("from", "call-id", "cseq"):
        for line in received.raw_lines(name)[:1]:
            assert line.encode("latin-1") in head


def _rely_on(received: Request) -> None:
    """Nothing the call machine does with a valid request may raise."""
    check_uri(received.from_.uri)
    parse_uri(received.uri)
    numbers(received)
    for line in passed_lines(received, INVITE_PASSES):
        assert "\0" not in line
    if received.method == "INVITE" and not received.to_tag:
        dialog = Dialog.from_request(received, "ours")
        dialog.next_hop  # noqa: B018 - must not raise
        draft = dialog.request("BYE", headers=passed_lines(received, INVITE_PASSES))
        sent = parse(draft.wire("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"), stream=True)
        assert isinstance(sent, Request)
        assert validate(sent, ANYTHING) is None


def builder(data: bytes) -> None:
    """Whatever text is handed to a builder, one line stays one line."""
    course = Course(data)
    name, value = course.pick(("Reason", "X-A")), course.rest().decode("latin-1")
    try:
        line = header(name, value)
    except UnsafeText:
        return
    assert line == f"{name}: {value}"
    assert not {"\r", "\n", "\0"} & set(line)


def stream(data: bytes) -> None:
    """A stream cut anywhere gives the same messages, and holds back no more than one."""
    course = Course(data)
    limits = Limits(message=2_000)
    cuts = [course.byte() for _ in range(course.below(12))]
    raw = course.rest()
    whole = Framer(limits)
    expected = whole.feed(raw)
    pieces = Framer(limits)
    got: list[Event] = []
    at = 0
    for cut in itertools.chain(cuts, [len(raw)]):
        got += pieces.feed(raw[at : at + cut])
        assert len(pieces._buffer) <= limits.message + max(cut, 4)
        at += cut
    assert got == expected
    assert pieces.is_broken == whole.is_broken
    for index, event in enumerate(got):
        if isinstance(event, Framed):
            assert len(event.data) <= limits.message
            _parse_framed(event.data)
        assert not isinstance(event, Unframeable) or index == len(got) - 1


def _parse_framed(data: bytes) -> None:
    message, error = attempt(data, stream=True)
    # Where a message ends, framer and parser agree; all else may be wrong with it.
    assert error is None or error.reason != "Content-Length does not fit", data
    assert message is None or message.first("content-length") is not None


class _Ports:
    """Opens whatever a session wants."""

    def __init__(self) -> None:
        self.session = Session(itertools.count(100).__next__, 0.0)
        self._numbers = itertools.count(1)

    def take(self, side: Side, sdp: bytes, *, is_offer: bool, attempt: int) -> bytes:
        describe = Describe(side, sdp, "192.0.2.7", attempt)
        description = parse_sdp(sdp)
        assert len(description.media) <= MAX_MEDIA
        assert len(description.lines) + sum(len(m.lines) for m in description.media) <= MAX_LINES
        if not is_offer:
            return self.session.answer(describe, description, 1.0).sdp
        granted = []
        for slot in self.session.wanted(describe, description):
            number = next(self._numbers)
            endpoint = Endpoint(number, slot.family, "203.0.113.1", 12_000 + 2 * number)
            granted.append((slot, endpoint))
        return self.session.offer(describe, description, granted, 1.0).sdp


def sdp(data: bytes) -> None:
    """Offers and answers: refused by the declared errors, or rewritten into what parses again."""
    course = Course(data)
    ports = _Ports()
    for _ in range(4):
        if course.is_over:
            break
        side, is_offer, number = course.pick(tuple(Side)), course.chance(2), 1 + course.below(2)
        base = course.pick(DESCRIPTIONS)
        body = course.damaged(base) if course.chance(2) else base
        if course.chance(4):
            body = course.rest()
        try:
            rewritten = ports.take(side, body, is_offer=is_offer, attempt=number)
        except (MalformedSdp, Unusable, NoOffer):
            continue
        # What we make of anybody's description is one we would accept ourselves.
        again = parse_sdp(rewritten)
        assert [media.kind for media in again.media]
        assert b"\0" not in rewritten
        for media in again.media:
            if media.port and media.connection is not None and not media.connection.is_null:
                assert media.connection.host == "203.0.113.1"
    released = ports.session.release()
    ids = [*released.caller_ids, *released.callee_ids, *released.other_ids]
    assert len(ids) == len(set(ids))


DESCRIPTIONS: Final = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n",
    b"v=0\no=bob 2 3 IN IP4 host.example.com\ns=\nt=0 0\nm=audio 22334 RTP/AVP 0\n"
    b"c=IN IP4 192.0.2.1\nm=video 6024/1 RTP/AVP 107\nc=IN IP6 2001:db8::1\n"
    b"a=rtpmap:107 H263-1998/90000\na=rtcp:6025 IN IP4 192.0.2.1\n",
    b"v=0\r\no=- 5 5 IN IP6 ::ffff:192.0.2.2\r\ns=-\r\nc=IN IP6 ::ffff:192.0.2.2\r\nt=0 0\r\n"
    b"m=audio 6000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\na=sendonly\r\n"
    b"m=image 0 udptl t38\r\n",
    b"v=0\r\no=- 9 9 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=inactive\r\n"
    b"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:x\r\na=candidate:1 1 UDP 1 10.0.0.1 9 typ"
    b" host\r\na=rtcp-mux\r\nm=audio 5000 RTP/AVPF 9\r\na=maxptime:40\r\n",
)  # fmt: skip

TARGETS: Final[dict[str, Target]] = {
    "parser": parser,
    "builder": builder,
    "stream": stream,
    "layer": lines.play,
    "switch": scene.play,
    "registrar": phones.play,
    "sdp": sdp,
}
