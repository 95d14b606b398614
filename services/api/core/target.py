"""Where webhooks may go: an endpoint must not be a way into our own network."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """The ``Host`` header (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"

    def at(self, address: str) -> str:
        """The URL that goes to ``address`` and to no other, whatever DNS says a moment later."""
        literal = f"[{address}]" if ":" in address else address
        return f"{self.scheme}://{literal}:{self.port}{self.path}"


def parse_target(url: str) -> Target:
    """Take an endpoint's URL apart.

    Raises:
        ValueError: it is not an absolute http or https URL without credentials and fragment.
    """
    if len(url) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be plain ASCII: percent-encode the rest")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an absolute http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry credentials: deliveries are signed")
    if parts.fragment:
        raise ValueError("must not have a fragment")
    port = parts.port if parts.port is not None else {"http": 80, "https": 443}[parts.scheme]
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme, parts.hostname, port, (parts.path or "/") + query)


def is_public(address: str) -> bool:
    """Whether an IP address is on the open Internet, also when wrapped in another."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def choose(addresses: Sequence[str], *, allow_private: bool) -> str | None:
    """The address to connect to; ``None`` when one of them is not public.

    A name with one private address among public ones is a trap, so it is refused as a whole.
    """
    if not addresses:
        return None
    if not allow_private and not all(is_public(address) for address in addresses):
        return None
    return addresses[0]
