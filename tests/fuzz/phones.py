"""Telephones that register anything at all: one registrar, a few REGISTERs after each other."""

from __future__ import annotations

from services.common.sip_options.auth import CustomerRegistrations
from services.signaling.core.location import Location
from services.signaling.core.registrar import (
    MOST_CONTACTS,
    address_of_record,
    check_contacts,
    register,
)
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import response_to
from services.signaling.sip.digest import challenges_of, choose, credentials_of, is_proven
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.message import Request, Response, parse
from services.signaling.sip.uri import parse_sip_uri
from services.signaling.sip.validate import validate
from tests.fuzz.course import Course
from tests.fuzz.wire import ANYTHING, attempt

PHONE = Peer("udp", "192.0.2.7", 5060, 1)
RULES = (CustomerRegistrations(), CustomerRegistrations(most=2, when_full="refuse"))
CONTACTS = (
    "Contact: <sip:a@192.0.2.7>", "m: <sip:a@192.0.2.7:5070;transport=tcp>;expires=120;q=0.5",
    "Contact: *\r\nExpires: 0", "Contact: <sip:b@192.0.2.8>;expires=0, sip:c@192.0.2.9;q=1",
    'Contact: <sip:a@192.0.2.7;ob>;+sip.instance="<urn:uuid:1>";reg-id=1\r\n'
    "Supported: path, outbound\r\nPath: <sip:edge.example;lr;ob>",
    "Contact: <sip:a@192.0.2.7?Route=%3Csip:x%3E>;unknown", "Expires: 4294967295", "X: y",
)  # fmt: skip
CREDENTIALS = (
    'Digest username="a", realm="x", nonce="n", uri="sip:x", response="00", qop=auth,'
    ' nc=00000001, cnonce="c"',
    'Digest username="a\\"b", realm="x", nonce="n", algorithm=SHA-256-sess, uri="*",'
    ' response="zz", qop="auth", nc=ffffffff, cnonce=""',
    "Basic eDp5", "Digest ", 'Digest realm="x", nonce="n", algorithm=MD5, qop="auth,auth-int"',
)  # fmt: skip


def play(data: bytes) -> None:
    """Whatever was registered can be called, and whatever is answered is a response."""
    course, location = Course(data), Location()
    for number in range(1, 5):
        if course.is_over:
            break
        _challenge(course)
        raw = _request(course, number)
        if course.chance(2):
            raw = course.damaged(raw)
        message, _ = attempt(raw, stream=False)
        if not isinstance(message, Request) or message.method != "REGISTER":
            continue
        if validate(message, ANYTHING) is None:
            _register(course, location, message, number)


def _request(course: Course, number: int) -> bytes:
    lines = [
        "REGISTER sip:192.0.2.1 SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{number}",
        "From: <sip:a@192.0.2.1>;tag=t",
        "To: <sip:a@192.0.2.1>",
        f"Call-ID: {course.pick('ab')}",
        f"CSeq: {course.below(4)} REGISTER",
        course.pick(CONTACTS),
        f"Authorization: {course.pick(CREDENTIALS)}",
        "Content-Length: 0\r\n\r\n",
    ]
    return "\r\n".join(lines).encode()


def _register(course: Course, location: Location, request: Request, number: int) -> None:
    for credentials in credentials_of(request):
        assert not is_proven(credentials, "REGISTER", "0" * 32)
    try:
        address_of_record(request)
        check_contacts(request)
    except MalformedMessage:
        return
    rules = course.pick(RULES)
    outcome = register(
        location, request, PHONE, username="a", rules=rules, node="n", unix_s=1e9 + number
    )
    reply = response_to(request, outcome.status, outcome.reason, headers=outcome.headers)
    assert isinstance(parse(reply.data, stream=True), Response)
    for binding in outcome.removed:
        location.remove(binding.username, binding.id)
    for binding in outcome.put:
        parse_sip_uri(binding.uri)
        location.put(binding)
    assert len(location) <= MOST_CONTACTS


def _challenge(course: Course) -> None:
    """The other way: what a vendor challenges us with."""
    value = course.damaged(course.pick(CREDENTIALS).encode()).decode("latin-1")
    raw = f"SIP/2.0 401 No\r\nWWW-Authenticate: {value}\r\n".encode("latin-1")
    raw += b"Via: SIP/2.0/UDP x;branch=b\r\nFrom: <sip:a@x>\r\nTo: <sip:a@x>\r\nCall-ID: c\r\n"
    message, _ = attempt(raw + b"CSeq: 1 INVITE\r\n\r\n", stream=False)
    if isinstance(message, Response):
        chosen = choose(challenges_of(message), realm="x")
        assert chosen is None or chosen.realm == "x"
