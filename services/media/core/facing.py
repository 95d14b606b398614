"""What faces one party of a call: our ports, our identity, and what it said of itself."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Final, Self

from services.media.core.exchange import Action, Aim, Describe, Endpoint, Remote, Unusable
from services.media.core.latch import Expectation
from services.media.core.rewrite import Origin, Placement, rewrite
from services.media.core.sdp import Description, Direction, Family, Media
from services.media.core.snapshot import FacingState

_HELD: Final = frozenset({Direction.SENDONLY, Direction.RECVONLY, Direction.INACTIVE})


class Facing:
    """One party, seen from here; a callee of which there may be several by attempt."""

    __slots__ = (
        "_host", "_origin", "endpoints", "family", "is_awaited", "is_held", "remotes", "revision",
    )  # fmt: skip

    def __init__(self, session_id: int) -> None:
        self.endpoints: dict[int, Endpoint] = {}
        """By index of the m-line."""
        self.remotes: dict[int, Remote] = {}
        """Agreed ones only: an offer counts once it is answered."""
        self.revision = 0
        self.is_held = False
        self.is_awaited = False
        """Its first packet is to be told."""
        self.family: Family | None = None
        self._host = ""
        self._origin = Origin(session_id)

    @classmethod
    def restored(cls, state: FacingState) -> Self:
        """One that an earlier process had."""
        facing = cls(state.session_id)
        facing._origin = Origin(state.session_id, state.version)
        for index, endpoint in state.endpoints.items():
            facing.grant(index, endpoint)
        facing.remotes = state.remotes
        facing.revision = state.revision
        facing.is_held = state.is_held
        facing.is_awaited = state.is_awaited
        return facing

    def snapshot(self) -> FacingState:
        """What :meth:`restored` takes."""
        return FacingState(
            self._origin.session_id,
            self._origin.version,
            self.endpoints,
            self.remotes,
            self.revision,
            self.is_held,
            self.is_awaited,
        )

    def grant(self, index: int, endpoint: Endpoint) -> None:
        """Own an open endpoint."""
        self.endpoints[index] = endpoint
        self.family = endpoint.family
        self._host = endpoint.host

    def describe(self, description: Description, live: frozenset[int]) -> bytes:
        """What this party gets in place of the other's ``description``.

        Raises:
            Unusable: nothing of it was ever live, so we have no address to give.
        """
        if self.family is None:
            raise Unusable("no stream that can be relayed")
        ports = tuple(
            self.endpoints[index].port if index in live and index in self.endpoints else 0
            for index in range(len(description.media))
        )
        placement = Placement(self.family, self._host, ports)
        return self._origin.sign(placement, rewrite(description, placement))

    def check(self, description: Description, live: frozenset[int], own: frozenset[int]) -> None:
        """Whether this party is where packets can reach it.

        Raises:
            Unusable: it is in another address family, or points back at the ``own`` ports.
        """
        for index in live:
            media = description.media[index]
            if media.connection is None or not media.connection.host or media.connection.is_null:
                continue
            if media.connection.family != self.family:
                raise Unusable("address family")
            if media.connection.host == self._host and media.port & ~1 in own:
                # Two such parties would have us relay one packet to ourselves for ever.
                raise Unusable("points back at this call")

    def agree(
        self,
        describe: Describe,
        description: Description,
        live: frozenset[int],
        *,
        learn_any: bool,
    ) -> None:
        """Take a description as valid from now on."""
        remotes = {
            index: _remote(description.media[index], describe.source_host, learn_any=learn_any)
            for index in live
        }
        self.revision += 1
        self.remotes = remotes
        self.is_held = all(
            description.media[index].direction in _HELD or remotes[index].is_muted
            for index in live
        )

    def aims(self, towards: "Facing | None") -> list[Action]:
        """State anew where this party's packets come from and go to."""
        return [
            Aim(
                endpoint.id,
                _peer_id(towards, index),
                self.remotes.get(index),
                self.revision,
                self.is_awaited,
            )
            for index, endpoint in self.endpoints.items()
        ]

    def drop(self, dead: frozenset[int]) -> list[int]:
        """Let go of the endpoints of refused m-lines; returns their ids."""
        return [self.endpoints.pop(index).id for index in dead if index in self.endpoints]


def _peer_id(towards: Facing | None, index: int) -> int:
    if towards is None or index not in towards.endpoints:
        return 0
    return towards.endpoints[index].id


def _remote(media: Media, source_host: str, *, learn_any: bool) -> Remote:
    connection = media.connection
    host = connection.host if connection is not None else ""
    source = _canonical(source_host)
    rtp = Expectation(
        host, media.port, source, learn_any=learn_any and not _is_reachable(host, source)
    )
    rtcp_connection = media.rtcp_connection or connection
    rtcp = replace(
        rtp,
        host=rtcp_connection.host if rtcp_connection is not None else "",
        port=media.rtcp_port or (media.port + 1) & 0xFFFF,
        learn_any=False,
    )
    is_muted = connection is not None and connection.is_null
    return Remote(rtp, rtcp, is_muted, media.clock_rates)


def _is_reachable(host: str, source_host: str) -> bool:
    """Whether a described address can be the real one: not a private one sent from outside."""
    if not host:
        return False
    if not source_host or source_host == host:
        return True
    return ip_address(host).is_global or not ip_address(source_host).is_global


def _canonical(host: str) -> str:
    """The text form that sockets report; empty for what is not an address."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
