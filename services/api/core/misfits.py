"""Options of a vendor trunk that mean nothing where its ``host`` leads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from services.api.core.address import REGISTERED
from services.api.core.problems import Problem

_NEED_AN_ADDRESS = (("dns", "lookup"), ("probe", "every_s"), ("keepalive", "crlf_s"))
"""Of a vendor who is a registered user there is none: his contacts come and go."""


def misfits(fields: Mapping[str, object], where: str = "") -> list[Problem]:
    """What does not go together in a whole vendor trunk, each with its path below ``where``."""
    sip = fields.get("sip")
    if not isinstance(sip, Mapping):
        return []
    host = str(fields.get("host") or "")
    found = _of_registered(sip) if host.startswith(REGISTERED) else _of_address(host, sip)
    return [Problem(f"{where}sip.{option}", reason) for option, reason in found]


def _of_registered(sip: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for group, name in _NEED_AN_ADDRESS:
        if _said(sip, group, name):
            yield f"{group}.{name}", f"means nothing while host is {REGISTERED}USERNAME"
    if _said(sip, "register", "enabled") and not _said(sip, "register", "registrar"):
        yield "register.registrar", f"is needed while host is {REGISTERED}USERNAME"


def _of_address(host: str, sip: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    if _said(sip, "registered", "request_uri"):
        yield "registered.request_uri", f"means nothing unless host is {REGISTERED}USERNAME"
    # A registrar of its own may be a name.
    if _said(sip, "dns", "lookup") and _is_address(host) and not _said(sip, "register", "enabled"):
        yield "dns.lookup", "means nothing while host is an address"


def _said(sip: Mapping[str, object], group: str, name: str) -> object:
    """An option that is not at its default; what is, is not written."""
    options = sip.get(group)
    return options.get(name) if isinstance(options, Mapping) else None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
