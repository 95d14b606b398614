"""Addresses as settings write them, and what is said of those that are none."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

LARGEST_PORT = 65_535
_HOST_PORT = "host:port, an IPv6 host in brackets"


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` taken apart; brackets of an IPv6 host are removed.

    Raises:
        ValueError: it is no such address.
    """
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit()):
        raise ValueError(f"{address!r} is no address: host:port")
    return host.strip("[]"), int(port)


def host_port(text: str) -> str:
    """``text``, if it is ``host:port``.

    Raises:
        ValueError: it is not, in words for who wrote it.
    """
    host, _, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and int(port) <= LARGEST_PORT
    is_host = bool(host) and (":" not in host or (host[0], host[-1]) == ("[", "]"))
    if not (is_port and is_host) or any(character.isspace() for character in text):
        raise ValueError(f"must be {_HOST_PORT}")
    return text


def service_address(text: str) -> str:
    """``text``, if a service can be reached there: ``host:port`` or ``unix:/path``.

    Raises:
        ValueError: it is neither.
    """
    if text.startswith("unix:/"):
        return text
    try:
        return host_port(text)
    except ValueError:
        raise ValueError(f"must be {_HOST_PORT}, or unix:/path") from None


def name_server(text: str) -> str:
    """``text``, if it is an IP address with or without port.

    Raises:
        ValueError: it is not.
    """
    host, port = text, ""
    if text.startswith("["):
        host, end, port = text[1:].partition("]")
        host = host if end else text
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        ip_address(host)
        if port:
            host_port(f"h:{port.removeprefix(':')}")
    except ValueError:
        raise ValueError("must be an IP address, or one with :port behind") from None
    return text


def each_of(check: Callable[[str], str]) -> Callable[[str], str]:
    """``check`` for every part of a list separated by commas; an empty part is none."""

    def checked(text: str) -> str:
        for part in text.split(","):
            if part.strip():
                check(part.strip())
        return text

    return checked


def or_empty(check: Callable[[str], str]) -> Callable[[str], str]:
    """``check`` for a text that may be left empty."""
    return lambda text: check(text) if text else text


def url(*schemes: str) -> Callable[[str], str]:
    """A check for URLs of some schemes.

    It raises ``ValueError`` for all others.
    """
    begins = " or ".join(f"{scheme}://" for scheme in schemes)

    def checked(text: str) -> str:
        scheme, _, rest = text.partition("://")
        if scheme not in schemes or not rest or any(character.isspace() for character in text):
            raise ValueError(f"must be a URL that begins with {begins}")
        return text

    return checked
