"""The options of a customer trunk and of a vendor trunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from services.common.sip_options.auth import (
    CustomerAuth,
    CustomerRegistrations,
    VendorAuth,
    VendorRegister,
    VendorRegistered,
)
from services.common.sip_options.codes import CustomerCodes, VendorCodes
from services.common.sip_options.dns import VendorDns
from services.common.sip_options.early_media import EarlyMedia, VendorEarlyMedia
from services.common.sip_options.flaws import InvalidOptions, flaws_of
from services.common.sip_options.group import Conflict, Group
from services.common.sip_options.headers import Headers
from services.common.sip_options.identity import CustomerIdentity, VendorIdentity
from services.common.sip_options.keepalive import KeepAlive
from services.common.sip_options.nat import Nat
from services.common.sip_options.numbers import Numbers
from services.common.sip_options.probe import VendorProbe
from services.common.sip_options.redirects import VendorRedirects
from services.common.sip_options.reliable import Reliable
from services.common.sip_options.retry_after import VendorRetryAfter
from services.common.sip_options.routing import CustomerRouting
from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.text import ListenerName
from services.common.sip_options.timeouts import CustomerTimeouts, VendorTimeouts
from services.common.sip_options.tls import VendorTls
from services.common.sip_options.transfer import Transfer
from services.common.sip_options.transport import Transport, VendorTransport


class CustomerSip(Group, frozen=True):
    """How a customer is spoken to."""

    transports: tuple[Transport, ...] = ()
    """Those that its calls may come by; none listed: any."""
    listener: ListenerName = ""
    """Name or address of the listening address that requests in its calls and to its registered
    users leave from, and that our Contact names; empty: the one its own came to."""
    nat: Nat = Nat()
    keepalive: KeepAlive = KeepAlive()
    auth: CustomerAuth = CustomerAuth()
    registrations: CustomerRegistrations = CustomerRegistrations()
    reliable: Reliable = Reliable()
    session_timer: SessionTimer = SessionTimer()
    transfer: Transfer = Transfer()
    numbers: Numbers = Numbers()
    identity: CustomerIdentity = CustomerIdentity()
    headers: Headers = Headers()
    codes: CustomerCodes = CustomerCodes()
    early_media: EarlyMedia = EarlyMedia()
    timeouts: CustomerTimeouts = CustomerTimeouts()
    routing: CustomerRouting = CustomerRouting()
    trace: bool = False
    """Whether the messages of its calls are sent to the capture server."""

    def conflicts(self) -> Iterator[Conflict]:
        """See :class:`Group`."""
        if self.numbers.caller_from in ("pai", "rpid") and not self.identity.trusted:
            yield Conflict("numbers.caller_from", "needs identity.trusted", ("identity",))


class VendorSip(Group, frozen=True):
    """How a vendor is spoken to."""

    listener: ListenerName = ""
    """Name or address of the listening address that everything to it leaves from; empty: the first
    that speaks its transport."""
    identity: VendorIdentity = VendorIdentity()
    headers: Headers = Headers()
    codes: VendorCodes = VendorCodes()
    early_media: VendorEarlyMedia = VendorEarlyMedia()
    timeouts: VendorTimeouts = VendorTimeouts()
    dns: VendorDns = VendorDns()
    probe: VendorProbe = VendorProbe()
    redirects: VendorRedirects = VendorRedirects()
    retry_after: VendorRetryAfter = VendorRetryAfter()
    transport: VendorTransport = VendorTransport()
    tls: VendorTls = VendorTls()
    nat: Nat = Nat()
    keepalive: KeepAlive = KeepAlive()
    reliable: Reliable = Reliable()
    session_timer: SessionTimer = SessionTimer()
    trace: bool = False
    """Whether the messages of its calls are sent to the capture server."""
    auth: VendorAuth = VendorAuth()
    register: VendorRegister = VendorRegister()
    registered: VendorRegistered = VendorRegistered()

    def conflicts(self) -> Iterator[Conflict]:
        """See :class:`Group`."""
        if self.register.enabled and not self.auth.username:
            yield Conflict("register.enabled", "needs auth.username", ("auth",))


DEFAULT_CUSTOMER = CustomerSip()
DEFAULT_VENDOR = VendorSip()

T = TypeVar("T", CustomerSip, VendorSip)


def read_options(kind: type[T], value: object) -> T:
    """Options from plain JSON values, as api takes them.

    Raises:
        InvalidOptions: with everything that is wrong.
    """
    if flaws := flaws_of(kind, value):
        raise InvalidOptions(flaws)
    return msgspec.convert(value, kind, strict=True)


def stored_options(kind: type[T], value: object) -> T:
    """Options as they were taken once: what only makes no sense is kept.

    Raises:
        InvalidOptions: they are of another version.
    """
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        raise InvalidOptions(flaws_of(kind, value)) from None


def inlined_schema(kind: type[CustomerSip] | type[VendorSip]) -> dict[str, Any]:
    """The JSON schema of options, without references."""
    schemas, components = msgspec.json.schema_components([kind], ref_template="{name}")

    def inline(node: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(node, dict):
            if "$ref" in node:
                return inline(components[node["$ref"]])
            return {name: inline(value) for name, value in node.items()}
        return [inline(item) for item in node] if isinstance(node, list) else node

    schema: dict[str, Any] = inline(schemas[0])
    return schema


def plain(options: Group) -> dict[str, object]:
    """Options as JSON values, without those at their defaults: as they are stored and shown."""
    built: dict[str, object] = msgspec.json.decode(msgspec.json.encode(options))
    # A group at its defaults is written as an empty one.
    return {name: value for name, value in built.items() if value != {}}
