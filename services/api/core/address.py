"""Network addresses as configuration writes them."""

import ipaddress
import re

REGISTERED = "registered:"
"""What the host of a vendor trunk begins with whose calls go to a registered user."""
USERNAME = re.compile(r"[A-Za-z0-9._+@~-]{1,64}")
"""The usernames of digest and registration: what needs no quoting anywhere."""

_WIDEST = {4: 8, 6: 16}
"""The shortest prefix of a network: a typing error must not let everybody in."""
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")


def trunk_address(text: str) -> str:
    """The canonical form of an address such as ``192.0.2.1`` or ``2001:db8::1``.

    With a port ``192.0.2.1:5060`` or ``[2001:db8::1]:5060``; a network is ``192.0.2.0/24``.

    Raises:
        ValueError: it is none of these.
    """
    if "/" in text:
        return _network(text.strip())
    host, port = _split(text.strip())
    address = _ip(host)
    if port is None:
        return str(address)
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(f"port {port[:10]!r} is not 1 to 65535")
    return f"[{address}]:{int(port)}" if address.version == 6 else f"{address}:{int(port)}"


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no network such as 192.0.2.0/24") from None
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    if network.prefixlen < _WIDEST[network.version]:
        raise ValueError(f"{text[:60]!r} is wider than /{_WIDEST[network.version]}")
    return str(network)


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
    """A vendor's host: a name, an address without brackets, or ``registered:USERNAME``.

    Raises:
        ValueError: it is none of these.
    """
    if text.startswith(REGISTERED):
        if not USERNAME.fullmatch(text.removeprefix(REGISTERED)):
            raise ValueError(f"{text[:80]!r} names no username")
        return text
    bare = text.strip().removeprefix("[").removesuffix("]")
    if ":" in bare or bare.replace(".", "").isdigit():
        return str(_ip(bare))
    if len(bare) > 253 or not _HOST.fullmatch(bare):
        raise ValueError(f"{text[:60]!r} is not a host name")
    return bare.lower()
