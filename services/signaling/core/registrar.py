"""The registrar: REGISTER in, bindings and a response out (RFC 3261 section 10.3).

Pure: whether the sender may register the address was decided before. All of a request is done
or nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from services.common.sip_options.auth import CustomerRegistrations
from services.signaling.core.location import Binding, Location, binding_id
from services.signaling.core.record import bounded
from services.signaling.sip.actions import Peer
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.headers import NameAddr, parse_number, readable, unquote
from services.signaling.sip.message import Request, has_single_via
from services.signaling.sip.uri import SipUri, check_uri, equivalent, parse_sip_uri

MOST_CONTACTS: Final = 32
"""In one REGISTER; more is no telephone."""
MOST_HOPS: Final = 8
LONGEST_URI: Final = 512
LONGEST_INSTANCE: Final = 128
OUTBOUND: Final = "outbound"

_DEFAULT_Q: Final = 1.0
"""What stands without q is as good as any (section 16.6 leaves it open)."""


class Refusal(Exception):
    """The REGISTER fails as a whole."""

    def __init__(self, status: int, *headers: str, reason: str | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.reason = reason


class Registered(NamedTuple):
    """What a REGISTER led to."""

    status: int
    headers: tuple[str, ...] = ()
    reason: str | None = None
    put: tuple[Binding, ...] = ()
    removed: tuple[Binding, ...] = ()


class _Wanted(NamedTuple):
    """One Contact value, read."""

    uri: SipUri
    text: str
    expires_s: int
    q: float
    instance: str
    reg_id: int


@dataclass(slots=True)
class _Change:
    """Bindings as they become."""

    now: list[Binding]
    put: dict[str, Binding] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)
    removed: dict[str, Binding] = field(default_factory=dict)

    def remove(self, binding: Binding) -> None:
        self.now.remove(binding)
        if self.put.pop(binding.id, None) is None:
            self.removed[binding.id] = binding

    def add(self, binding: Binding) -> None:
        self.removed.pop(binding.id, None)
        self.put[binding.id] = binding
        self.now.append(binding)


def register(
    location: Location,
    request: Request,
    source: Peer,
    *,
    username: str,
    rules: CustomerRegistrations,
    node: str,
    unix_s: float,
) -> Registered:
    """Judge a REGISTER for ``username``; the caller stores what it led to."""
    change = _Change(location.of(username, unix_s))
    try:
        contacts = _contacts(request, rules)
        path = _path(request)
        outbound = _outbound(request, contacts, path)
        if contacts is None:
            for binding in list(change.now):
                _in_order(binding, request)
                change.remove(binding)
        for wanted in contacts or ():
            _apply(change, wanted, request, source, username, path, node, unix_s)
        _limit(change, rules)
    except Refusal as refusal:
        return Registered(refusal.status, refusal.headers, refusal.reason)
    except MalformedMessage as error:
        return Registered(400, (), error.reason)
    headers = [_contact_line(binding, unix_s) for binding in change.now]
    if path and _supports(request, "path"):
        headers += [f"Path: {hop}" for hop in path]
    if outbound:
        headers.append(f"Require: {OUTBOUND}")
    return Registered(
        200, tuple(headers), None, tuple(change.put.values()), tuple(change.removed.values())
    )


def address_of_record(request: Request) -> SipUri:
    """What is registered.

    Raises:
        MalformedMessage: To is no SIP URI.
    """
    address = request.to.address
    if not isinstance(address, SipUri):
        raise MalformedMessage("To is no SIP URI")
    return address


def check_contacts(request: Request) -> None:
    """Whether the Contact values keep the grammar, whoever sent them.

    Raises:
        MalformedMessage: one does not.
    """
    for value in request.headers("contact")[:MOST_CONTACTS]:
        if value != "*":
            check_uri(NameAddr.parse(value).uri)


# --- the request -------------------------------------------------------------------------


def _contacts(request: Request, rules: CustomerRegistrations) -> list[_Wanted] | None:
    """The Contact values; ``None`` for the wildcard, which removes everything."""
    values = request.headers("contact")
    if "*" in values:
        # "MUST NOT ... unless the Expires header field value is zero" (section 10.2.2)
        if len(values) > 1 or request.first("expires") is None or _expires(request) != 0:
            raise MalformedMessage("Wildcard without Expires: 0")
        return None
    if len(values) > MOST_CONTACTS:
        raise Refusal(403, reason="Too Many Contacts")
    return [_wanted(value, request, rules) for value in values]


def _wanted(value: str, request: Request, rules: CustomerRegistrations) -> _Wanted:
    contact = NameAddr.parse(value)
    uri = parse_sip_uri(contact.uri)
    if len(contact.uri) > LONGEST_URI:
        raise Refusal(400, reason="Contact Too Long")
    params = contact.params
    expires_s = _seconds(params["expires"]) if "expires" in params else _expires(request)
    if expires_s is None:
        expires_s = rules.max_expires_s
    if 0 < expires_s < rules.min_expires_s:
        raise Refusal(423, f"Min-Expires: {rules.min_expires_s}")
    instance = unquote(params.get("+sip.instance") or "")[:LONGEST_INSTANCE]
    reg_id = _seconds(params.get("reg-id")) if instance else 0
    return _Wanted(
        uri,
        contact.uri,
        min(expires_s, rules.max_expires_s),
        _q(params.get("q")),
        instance,
        min(reg_id or 0, 2**31 - 1),
    )


def _expires(request: Request) -> int | None:
    return _seconds(request.first("expires"))


def _seconds(text: str | None) -> int | None:
    """Seconds; ``None`` when not said, or nonsense: "treated as equivalent to 3600" (10.2.1.1)."""
    try:
        return None if text is None else parse_number(text, 2**64)
    except MalformedMessage:
        return None


def _q(text: str | None) -> float:
    try:
        q = float(text or _DEFAULT_Q)
    except ValueError:
        return _DEFAULT_Q
    return q if 0.0 <= q <= 1.0 else _DEFAULT_Q


def _path(request: Request) -> tuple[str, ...]:
    hops = request.headers("path")
    if len(hops) > MOST_HOPS:
        raise Refusal(400, reason="Path Too Long")
    for hop in hops:
        uri = parse_sip_uri(NameAddr.parse(hop).uri)
        if not uri.is_loose_router or len(hop) > LONGEST_URI:
            raise MalformedMessage("Malformed Path")
    return tuple(hops)


def _supports(request: Request, tag: str) -> bool:
    return any(
        tag == value.lower()
        for name in ("supported", "require")
        for value in request.headers(name)
    )


def _outbound(request: Request, contacts: Sequence[_Wanted] | None, path: tuple[str, ...]) -> bool:
    """Whether RFC 5626 is spoken (section 6)."""
    if not any(wanted.reg_id for wanted in contacts or ()) or not _supports(request, OUTBOUND):
        return False
    first_hop_speaks = bool(path) and "ob" in parse_sip_uri(NameAddr.parse(path[-1]).uri).params
    if not has_single_via(request) and not first_hop_speaks:
        raise Refusal(439)
    return True


# --- the bindings ------------------------------------------------------------------------


def _apply(
    change: _Change,
    wanted: _Wanted,
    request: Request,
    source: Peer,
    username: str,
    path: tuple[str, ...],
    node: str,
    unix_s: float,
) -> None:
    before = next((one for one in change.now if _is_same(one, wanted)), None)
    if before is not None:
        _in_order(before, request)
        change.remove(before)
    if wanted.expires_s == 0:
        return
    if wanted.reg_id:
        identity = binding_id(username, wanted.instance, str(wanted.reg_id))
    else:
        identity = before.id if before is not None else binding_id(username, wanted.text)
    if before is None:
        change.added.add(identity)
    change.add(
        Binding(
            id=identity,
            username=username,
            uri=wanted.text,
            expires_at=unix_s + wanted.expires_s,
            registered_at=unix_s if before is None else before.registered_at,
            call_id=request.call_id[:LONGEST_URI],
            cseq=request.cseq.number,
            q=wanted.q,
            path=path,
            node=node,
            transport=source.transport,
            host=source.host,
            port=source.port,
            connection=source.connection,
            instance=wanted.instance,
            reg_id=wanted.reg_id,
            agent=bounded(readable(request.first("user-agent") or "")),
        )
    )


def _is_same(binding: Binding, wanted: _Wanted) -> bool:
    if wanted.reg_id or binding.reg_id:
        return (binding.instance, binding.reg_id) == (wanted.instance, wanted.reg_id)
    return binding.uri == wanted.text or equivalent(parse_sip_uri(binding.uri), wanted.uri)


def _in_order(binding: Binding, request: Request) -> None:
    """Let nothing older than the binding change it (section 10.3 steps 6 and 7)."""
    is_same_agent = binding.call_id == request.call_id[:LONGEST_URI]
    if is_same_agent and request.cseq.number <= binding.cseq:
        raise Refusal(500, reason="Out Of Order")


def _limit(change: _Change, rules: CustomerRegistrations) -> None:
    surplus = len(change.now) - rules.most
    if surplus <= 0:
        return
    if rules.when_full == "refuse":
        if change.added:
            raise Refusal(403, reason="Too Many Registrations")
        return
    by_age = sorted(change.now, key=lambda one: (one.id in change.added, one.registered_at))
    for binding in by_age[:surplus]:
        change.remove(binding)


def _contact_line(binding: Binding, unix_s: float) -> str:
    line = f"Contact: <{binding.uri}>;expires={max(1, round(binding.expires_at - unix_s))}"
    if binding.q != _DEFAULT_Q:
        line += f";q={binding.q:g}"
    if binding.reg_id:
        instance = binding.instance.replace("\\", "").replace('"', "")
        line += f';+sip.instance="{instance}";reg-id={binding.reg_id}'
    return line
