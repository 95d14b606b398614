"""Network addresses as configuration writes them."""

import ipaddress
import re

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")


def trunk_address(text: str) -> str:
    """The canonical form of ``192.0.2.1``, ``192.0.2.1:5060`` or ``[2001:db8::1]:5060``.

    Raises:
        ValueError: it is none of these.
    """
    host, port = _split(text.strip())
    address = _ip(host)
    if port is None:
        return str(address)
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(f"port {port[:10]!r} is not 1 to 65535")
    return f"[{address}]:{int(port)}" if address.version == 6 else f"{address}:{int(port)}"


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"{text[:60]!r} is not an address")
        return host, rest[1:] if rest else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{host[:60]!r} is not an IP address") from None
    if getattr(address, "scope_id", None):
        raise ValueError("zones are not supported")
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if isinstance(mapped, ipaddress.IPv4Address) else address


def host_name(text: str) -> str:
    """A vendor's host: a name, or an address without brackets.

    Raises:
        ValueError: it is neither.
    """
    bare = text.strip().removeprefix("[").removesuffix("]")
    if ":" in bare or bare.replace(".", "").isdigit():
        return str(_ip(bare))
    if len(bare) > 253 or not _HOST.fullmatch(bare):
        raise ValueError(f"{text[:60]!r} is not a host name")
    return bare.lower()
