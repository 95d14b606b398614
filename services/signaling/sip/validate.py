"""What a new request must satisfy before anyone acts on it (RFC 3261 sections 8.2 and 16.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import NameAddr, Via, parse_number
from services.signaling.sip.message import Request, Response, has_single_via
from services.signaling.sip.names import METHODS
from services.signaling.sip.uri import OtherUri, SipUri, check_uri, is_usual_sip_uri


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the user of the stack can deal with; the rest is refused in its name."""

    methods: tuple[str, ...] = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE")
    extensions: frozenset[str] = frozenset()
    """Option tags that may be required of us."""
    unadvertised: frozenset[str] = frozenset()
    """Methods passed to the user although Allow does not name them: he refuses most of them."""
    session_types: tuple[str, ...] = ("application/sdp",)
    """Bodies understood in INVITE and UPDATE; other methods' bodies are passed on unread."""

    @property
    def allow_line(self) -> str:
        """The Allow header."""
        return "Allow: " + ", ".join(self.methods)

    @property
    def accept_line(self) -> str:
        """The Accept header."""
        return "Accept: " + ", ".join(self.session_types)


class Rejection(NamedTuple):
    """How to answer a request that goes no further."""

    status: int
    reason: str | None = None
    headers: tuple[str, ...] = ()


_UNCONDITIONAL: Final = frozenset({"ACK", "CANCEL"})
"""Methods whose Require is ignored: they must succeed with what they refer to (8.2.2.3)."""
_TARGET: Final = frozenset({"INVITE", "SUBSCRIBE"})
"""Methods that need a Contact to answer to (section 8.1.1.8)."""


def validate(request: Request, capabilities: Capabilities) -> Rejection | None:
    """Check everything the switch will rely on; ``None`` when the request may proceed.

    Max-Forwards of 0 is for the caller to answer: 483, or 200 to OPTIONS (section 11).
    """
    method = request.method
    if method not in METHODS:
        return Rejection(501)
    if method not in capabilities.methods and method not in capabilities.unadvertised:
        return Rejection(405, headers=(capabilities.allow_line,))
    if request.has_nul:
        return Rejection(400, "NUL in a header")
    try:
        rejection = _check_uri(request)
        _check_grammar(request)
    except MalformedMessage as error:
        return Rejection(400, error.reason)
    return (
        rejection or _check_extensions(request, capabilities) or _check_body(request, capabilities)
    )


def check_response(response: Response) -> bool:
    """Whether a response is sound enough to act on; others are dropped (section 8.1.3)."""
    # "If more than one Via header field value is present in a response, the UAC SHOULD
    # discard the message" (section 8.1.3.3)
    if response.has_nul or not has_single_via(response):
        return False
    try:
        # From and Call-ID are ours, matched by the branch.
        if not response.has_usual("to"):
            _check_address(response.to)  # it stands in our ACK
        if response.status < 300 and response.cseq.method == "INVITE":
            if "contact" in response._first and not response.has_usual("contact"):
                contact = response.contact
                assert contact is not None
                check_uri(contact.uri)
            if "record-route" in response._first:
                _check_route(response)
    except MalformedMessage:
        return False
    return True


def _check_uri(request: Request) -> Rejection | None:
    if is_usual_sip_uri(request.uri):
        return None
    uri = request.address
    if isinstance(uri, OtherUri):
        return Rejection(416)
    if isinstance(uri, SipUri) and uri.headers:
        # "headers: not allowed in the Request-URI" (section 19.1.1, table 1)
        return Rejection(400, "Headers in request URI")
    return None


def _check_grammar(request: Request) -> None:
    if not has_single_via(request):
        for value in request.headers("via")[1:]:
            Via.parse(value).params  # noqa: B018 - parsing is the check
    if not request.via.is_usual:
        request.via.params  # noqa: B018
    _check_dialog_headers(request)
    if request.cseq.method != request.method:
        raise MalformedMessage("CSeq method differs")
    request.max_forwards  # noqa: B018 - may be absent: section 16.6 step 3 says what then
    if "expires" in request._first:
        parse_number(request.first("expires") or "", 2**32 - 1)
    _check_contact(request)


def _check_dialog_headers(message: Request) -> None:
    if not message.has_usual("from"):
        _check_address(message.from_)
    if not message.has_usual("to"):
        _check_address(message.to)
    if "record-route" in message._first:
        _check_route(message)
    call_id = message.call_id
    if not call_id or " " in call_id:
        raise MalformedMessage("Malformed Call-ID")


def _check_address(address: NameAddr) -> None:
    address.params  # noqa: B018
    check_uri(address.uri)


def _is_sip(uri: str) -> bool:
    """Whether a URI that keeps the grammar is one that requests can be sent to."""
    return uri[:5].lower().startswith(("sip:", "sips:"))


def _check_route(message: Request | Response) -> None:
    for value in message.headers("record-route"):
        uri = NameAddr.parse(value).uri
        check_uri(uri)
        if not _is_sip(uri):
            raise MalformedMessage("Record-Route is no SIP URI")


def _check_contact(request: Request) -> None:
    if "contact" not in request._first:
        # RFC 2543 clients may leave it out, and are answered at their From.
        is_answerable = not request.via.has_magic_cookie and _is_sip(request.from_.uri)
        if request.method in _TARGET and not is_answerable:
            raise MalformedMessage("Missing Contact")
        return
    if request.has_usual("contact"):
        return
    contact = request.contact
    assert contact is not None
    if request.method == "REGISTER":
        return  # a list, or "*": the registrar's to judge
    _check_address(contact)
    if request.method in _TARGET and not _is_sip(contact.uri):
        raise MalformedMessage("Contact is no SIP URI")


def _check_extensions(request: Request, capabilities: Capabilities) -> Rejection | None:
    if request.method in _UNCONDITIONAL:
        return None
    if not ("require" in request._first or "proxy-require" in request._first):
        return None
    wanted = request.headers("require") + request.headers("proxy-require")
    unknown = [tag for tag in wanted if tag and tag.lower() not in capabilities.extensions]
    if not unknown:
        return None
    return Rejection(420, headers=("Unsupported: " + ", ".join(unknown),))


def _check_body(request: Request, capabilities: Capabilities) -> Rejection | None:
    if not request.body or request.method not in {"INVITE", "UPDATE"}:
        return None
    encoding = request.first("content-encoding")
    if encoding is not None and encoding.lower() not in {"", "identity"}:
        return Rejection(415, headers=("Accept-Encoding: identity",))
    if request.content_type not in capabilities.session_types:
        return Rejection(415, headers=(capabilities.accept_line,))
    return None
