"""Where we listen, and what we call ourselves towards each peer (RFC 3261 section 18.1.1).

A switch may listen at several addresses, over several transports, each known to the outside by
an address of its own. Via and Contact of what it sends name the one that the peer can reach, or
the one that is chosen for it: by name, by address, or by the address it has outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from services.signaling.sip.actions import Peer

TRANSPORTS: Final = ("udp", "tcp", "tls", "ws", "wss")
SECURE: Final = frozenset({"tls", "wss"})
MOST_LISTENERS: Final = 63
"""The low six bits of a connection's number say at which listener it was accepted."""

_DEFAULT_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.\-]+)(?::([0-9]{1,5}))?")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,31}")
_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def default_port(transport: str) -> int:
    """The port a URI with this transport means when it names none."""
    return _DEFAULT_PORTS.get(transport, 5060)


@dataclass(frozen=True, slots=True)
class Listener:
    """One address of one transport."""

    transport: str
    host: str
    """As bound, without brackets."""
    port: int
    advertised: str
    """``host:port`` as peers shall write to it."""
    name: str = ""
    """What trunks call it, in lower case; several may share it. Empty for none but its address."""

    @property
    def is_v6(self) -> bool:
        """Its address family."""
        return ":" in self.host

    @property
    def names(self) -> frozenset[str]:
        """All that a trunk may choose it by."""
        told = self.advertised.rpartition(":")[0]
        hosts = {self.host, _bracketed(self.host), told, told.strip("[]")}
        bound = f"{_bracketed(self.host)}:{self.port}"
        return frozenset({self.name, bound, self.advertised, *hosts} - {""})


class Local(NamedTuple):
    """What we call ourselves towards a peer, ready to be written."""

    number: int
    """Of the listener, counted from 1."""
    address: str
    """``host:port``."""
    via: str
    """A Via line up to the value of its branch."""
    contact: str
    """The Contact line."""
    secure_contact: str
    """The same with a ``sips`` URI, for dialogs that are to be secure (section 12.1.1)."""


class Listeners:
    """All of them, looked up by peer."""

    __slots__ = ("_by_number", "_by_way", "_chosen", "all")

    def __init__(self, listeners: Sequence[Listener]) -> None:
        if not 0 < len(listeners) <= MOST_LISTENERS:
            raise ValueError(f"1 to {MOST_LISTENERS} listening addresses")
        self.all = tuple(listeners)
        numbered = list(enumerate(self.all, start=1))
        self._chosen: dict[tuple[str, str, bool], Local | None] = {}
        self._by_number = {
            (number, listener.transport): _local(number, listener, listener.transport)
            for number, listener in numbered
        }
        self._by_way = {
            (transport, is_v6): _local(*_best(numbered, transport, is_v6=is_v6), transport)
            for transport in TRANSPORTS
            for is_v6 in (False, True)
        }

    @classmethod
    def behind(cls, advertised: str) -> Listeners:
        """Reached at one ``host:port`` over every transport, whatever is bound where."""
        advertised = advertised.lower()
        return cls([Listener(transport, "", 0, advertised) for transport in TRANSPORTS])

    @property
    def first(self) -> str:
        """The address we go by where nobody in particular is spoken to."""
        return self.all[0].advertised

    @property
    def addresses(self) -> frozenset[str]:
        """Every address that stands in a Via of ours."""
        return frozenset(listener.advertised for listener in self.all)

    @property
    def places(self) -> list[tuple[str, int]]:
        """Host and port of each, as bound."""
        return list(dict.fromkeys((listener.host, listener.port) for listener in self.all))

    def towards(self, peer: Peer) -> Local:
        """What we call ourselves to ``peer``: as the listener it uses, else as one like it."""
        transport, manner = peer.transport, peer.manner
        if manner is not None and manner.listener:
            chosen = self.chosen(peer)
            if chosen is not None:
                return chosen
        if peer.connection:
            local = self._by_number.get((peer.connection % 64, transport))
            if local is not None:
                return local
        way = (transport, ":" in peer.host)
        return self._by_way.get(way) or self._between_ourselves(*way)

    def chosen(self, peer: Peer) -> Local | None:
        """The listener that is chosen for ``peer``; ``None`` for one that is not here.

        Over UDP it is the socket. A stream leaves from its address, whatever is accepted there.
        """
        wanted = "" if peer.manner is None else peer.manner.listener
        key = (wanted, peer.transport, ":" in peer.host)
        if key not in self._chosen:
            self._chosen[key] = self._choose(*key)
        return self._chosen[key]

    def has(self, wanted: str) -> bool:
        """Whether any is called so."""
        return any(wanted.lower() in listener.names for listener in self.all)

    def is_reachable(self, peer: Peer) -> bool:
        """Whether the listener that is chosen for ``peer``, if any, is here."""
        manner = peer.manner
        return manner is None or not manner.listener or self.chosen(peer) is not None

    def why_not(self, peer: Peer) -> str:
        """Why nothing can be sent to ``peer``; empty when something can."""
        if peer.manner is None or self.is_reachable(peer):
            return ""
        wanted = peer.manner.listener
        if not self.has(wanted):
            return f"no listening address {wanted} on this node"
        found = [each for each in self.all if wanted.lower() in each.names]
        family = "IPv6" if ":" in peer.host else "IPv4"
        if all(each.is_v6 is not (":" in peer.host) for each in found):
            return f"listening address {wanted} has no {family} on this node"
        return f"listening address {wanted} has no UDP over {family} on this node"

    def source(self, peer: Peer) -> str | None:
        """The address that a stream to ``peer`` leaves from.

        ``""`` leaves that to the kernel; ``None``: the one that is chosen is not here.
        """
        if peer.manner is None or not peer.manner.listener:
            return ""
        local = self.chosen(peer)
        if local is None:
            return None
        host = self.all[local.number - 1].host
        return "" if host in _WILDCARDS else host

    def _choose(self, wanted: str, transport: str, is_v6: bool) -> Local | None:
        fit = [
            (number, listener)
            for number, listener in enumerate(self.all, start=1)
            if wanted.lower() in listener.names
            and listener.is_v6 is is_v6
            and (transport != "udp" or listener.transport == "udp")
        ]
        if not fit:
            return None
        return _local(*_best(fit, transport, is_v6=is_v6), transport)

    def _between_ourselves(self, transport: str, is_v6: bool) -> Local:
        """What we are called where no network is in between: that way leads back there only."""
        listener = replace(self.all[0], transport=transport)
        local = self._by_way[transport, is_v6] = _local(0, listener, transport)
        return local


def _local(number: int, listener: Listener, transport: str) -> Local:
    """``transport`` is what the peer is spoken to by; we are reached by the listener's own."""
    address = listener.advertised
    rport = "rport;" if transport == "udp" else ""
    parameter = "" if listener.transport == "udp" else f";transport={listener.transport}"
    secure = "" if listener.transport == "tls" else parameter
    return Local(
        number,
        address,
        f"Via: SIP/2.0/{transport.upper()} {address};{rport}branch=",
        f"Contact: <sip:{address}{parameter}>",
        f"Contact: <sips:{address}{secure}>",
    )


def _best(
    numbered: Iterable[tuple[int, Listener]], transport: str, *, is_v6: bool
) -> tuple[int, Listener]:
    """The listener to be named on a way that none of them is made for, or the one that is."""

    def distance(item: tuple[int, Listener]) -> tuple[bool, bool, bool, bool]:
        listener = item[1]
        return (
            bool(listener.host) and listener.is_v6 is not is_v6,
            listener.transport != transport,
            # Who speaks to us over a stream can open another one.
            listener.transport != "tcp",
            listener.transport != "udp",
        )

    return min(numbered, key=distance)


def read_listeners(
    text: str, advertised: str, outgoing: Callable[[bool], str]
) -> tuple[Listener, ...]:
    """Listeners from ``[name@][transport:]host:port[=advertised]``, separated by commas.

    Without a transport an entry means UDP and TCP. ``advertised`` is the address of entries of
    its family that have none of their own; a port in it counts for the first of them only, whose
    port it stands for. ``outgoing`` tells the address, IPv6 or not, that stands for a wildcard.

    Raises:
        ValueError: an entry is not of that form.
    """
    listeners: list[Listener] = []
    general = _split(advertised) if advertised.strip() else ("", None)
    for entry in text.split(","):
        name, at, rest = entry.strip().partition("@")
        if at and not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: a letter, then letters, digits, - and _")
        address, _, own = (rest if at else entry.strip()).partition("=")
        transport, host, port = _read_entry(address)
        is_v6 = ":" in host
        if own:
            told = _split(own)
        elif general[0] and _is_v6(general[0]) in {None, is_v6}:
            told, general = general, (general[0], None)
        else:
            told = (outgoing(is_v6) if host in _WILDCARDS else host, None)
        known = f"{_bracketed(told[0])}:{told[1] or port}"
        transports = [transport] if transport else TRANSPORTS[:2]
        label = name.lower() if at else ""
        listeners += [Listener(each, host, port, known, label) for each in transports]
    return tuple(listeners)


def read_advertised(text: str) -> str:
    """``text``, if it is an address that peers can be told.

    Raises:
        ValueError: it is not of the form ``host[:port]``.
    """
    _split(text)
    return text


def _read_entry(text: str) -> tuple[str, str, int]:
    head, colon, rest = text.partition(":")
    transport = ""
    if colon and head.lower() in TRANSPORTS:
        transport, text = head.lower(), rest
    host, port = _split(text)
    return transport, host, default_port(transport) if port is None else port


def _split(text: str) -> tuple[str, int | None]:
    """Host, in lower case and without brackets, and port."""
    match = _ADDRESS.fullmatch(text.strip())
    port = None if match is None or match[2] is None else int(match[2])
    if match is None or (port or 0) > 65535:
        raise ValueError(f"{text!r} is no address: host:port, an IPv6 host in brackets")
    return match[1].strip("[]").lower(), port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_v6(host: str) -> bool | None:
    """The family of an address, ``None`` for a name."""
    if ":" in host:
        return True
    return False if host.replace(".", "").isdigit() else None
