"""Where the hunt goes next: vendor by vendor, address by address, redirection by redirection."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from services.common.causes import EndReason
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.addressing import leaving_from, vendor_peer
from services.signaling.core.contacts import REGISTERED, contacts_of
from services.signaling.core.context import Context
from services.signaling.core.limits import Limit
from services.signaling.core.record import CallRecord
from services.signaling.core.redirects import redirected_to
from services.signaling.core.retry_after import retry_after_s
from services.signaling.core.targets import SUPPORTED
from services.signaling.core.values import Candidate
from services.signaling.core.vendor_health import plain
from services.signaling.sip.actions import Peer
from services.signaling.sip.listeners import default_port
from services.signaling.sip.message import Response
from services.signaling.sip.uri import SipUri

_FOLLOWED = frozenset({300, 301, 302})
"""305 (Use Proxy) and 380 (Alternative Service) do not name another place for the same call."""


LONGEST_NUMBER: Final = 64
"""User part that a redirection may send us to: it becomes part of the record."""

_Place = tuple[Candidate, Peer]


class Stop(NamedTuple):
    """The next INVITE, for which the vendor's limits have a place."""

    candidate: Candidate
    peer: Peer
    sip: VendorSip


class Skip(NamedTuple):
    """A vendor that is not asked."""

    candidate: Candidate
    reason: EndReason


class Itinerary:
    """See the module docstring."""

    __slots__ = ("_context", "_followed", "_here", "_left", "_record", "_seen")

    def __init__(
        self, context: Context, candidates: Sequence[Candidate], record: CallRecord
    ) -> None:
        self._context = context
        self._record = record
        self._left = deque(candidates)
        self._here: list[_Place] = []
        """Further places of the vendor in hand."""
        self._followed = 0
        self._seen: set[tuple[str, Peer]] | None = None
        """Where the vendor in hand has redirected the call to and from; ``None``: it has not."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to try."""
        return not self._left and not self._here

    def clear(self) -> None:
        """Nothing more is to be tried."""
        self._left.clear()
        self._here.clear()

    def next(self, now: float) -> Stop | Skip | None:
        """Where to go now; ``None`` when nothing is left."""
        context = self._context
        if self._here:
            candidate, peer = self._here.pop(0)
            sip = context.trunks.vendor(candidate.vendor_trunk_id)
        elif self._left:
            candidate = self._left.popleft()
            sip = context.trunks.vendor(candidate.vendor_trunk_id)
            found = self._arrive(candidate, sip, now)
            if isinstance(found, EndReason):
                return Skip(candidate, found)
            candidate, peer = found
        else:
            return None
        if candidate.way is None:
            peer = vendor_peer(candidate.host, peer.host, peer.port, peer.transport, sip)
        elif sip.listener:
            peer = leaving_from(sip.listener, peer)
        if peer.manner is not None and not context.listeners.is_reachable(peer):
            return Skip(candidate, EndReason.LISTENER_MISSING)
        limit = context.vendor_limits.take(
            candidate.vendor_trunk_id,
            max_calls=candidate.max_calls or None,
            max_cps=candidate.max_cps or None,
            now=now,
        )
        if limit is None:
            return Stop(candidate, peer, sip)
        self._here.clear()
        reason = EndReason.VENDOR_CPS if limit is Limit.CPS else EndReason.VENDOR_CAPACITY
        return Skip(candidate, reason)

    def _arrive(self, candidate: Candidate, sip: VendorSip, now: float) -> _Place | EndReason:
        """The first address of the next vendor, the others in hand; or why there is none."""
        self._followed, self._seen = 0, None
        if candidate.host.startswith(REGISTERED):
            return self._arrive_at_contacts(candidate, now)
        reach = self._context.reach
        service = reach.service_of(candidate.host, candidate.transport, sip)
        served = [] if service is None else reach.served(service)
        peers = served or reach.peers(candidate.host, candidate.port, candidate.transport)
        good, reason = reach.usable(candidate.vendor_trunk_id, peers, now)
        if sip.listener and good:
            listeners, reason = self._context.listeners, EndReason.LISTENER_MISSING
            good = [
                peer for peer in good if listeners.is_reachable(leaving_from(sip.listener, peer))
            ]
        if not good:
            return reason
        if served:
            # The port is the record's, and stays out of the request URI (RFC 3263 section 4.2).
            places = [(_moved(candidate, peer.transport), peer) for peer in good]
        elif len(good) == 1:
            return candidate, good[0]
        else:
            places = [(candidate, peer) for peer in good]
        self._here = places[1:]
        return places[0]

    def _arrive_at_contacts(self, candidate: Candidate, now: float) -> _Place | EndReason:
        """The first contact of a registered user, the others in hand."""
        unix_s = self._record.wall(now).timestamp()
        places = [
            (contact, contact.way.peer)
            for contact in contacts_of(candidate, self._context, unix_s)
            if contact.way is not None
        ]
        if not places:
            return EndReason.NOT_REGISTERED
        # Each is another telephone: what one says is not said by the others.
        self._here, self._seen = places[1:], set()
        return places[0]

    def leave(self) -> None:
        """The vendor has spoken: its other addresses would say the same.

        What a redirection named is still to be tried: these are different places.
        """
        if self._seen is None:
            self._here.clear()

    def on_refused(self, stop: Stop, response: Response, now: float) -> bool:
        """Take the vendor's final response; whether it is a redirection that is followed."""
        status = response.status
        if status == 503:
            # Another address may do better (RFC 3263 section 4.3), this one not so soon.
            self._rest(stop, response, now)
            return False
        options = stop.sip.redirects
        if status in _FOLLOWED and options.policy == "follow":
            return self._follow(stop, redirected_to(response))
        self.leave()
        return False

    def _rest(self, stop: Stop, response: Response, now: float) -> None:
        seconds = min(retry_after_s(response), stop.sip.retry_after.longest_s)
        if seconds:
            health = self._context.reach.health
            why = f"503 with Retry-After: {seconds}"
            health.rest(stop.candidate.vendor_trunk_id, plain(stop.peer), seconds, why, now)
            self._here = [each for each in self._here if each[1] != plain(stop.peer)]

    def _follow(self, stop: Stop, contacts: list[SipUri]) -> bool:
        if self._seen is None:
            # What DNS says beside is no place for a call that is wanted elsewhere.
            self._here.clear()
            self._seen = set()
        self._seen.add((stop.candidate.called, plain(stop.peer)))
        places: list[_Place] = []
        for uri in contacts:
            if self._followed >= stop.sip.redirects.limit:
                break
            place = self._place(stop.candidate, uri)
            if place is not None and (place[0].called, place[1]) not in self._seen:
                self._seen.add((place[0].called, place[1]))
                self._followed += 1
                places.append(place)
        self._here = places + self._here
        return bool(places)

    def _place(self, candidate: Candidate, uri: SipUri) -> _Place | None:
        """Where a Contact leads; ``None`` for ourselves, and where nobody knows the way."""
        reach = self._context.reach
        host = uri.host.strip("[]")
        transport = "tls" if uri.scheme == "sips" else uri.transport or "udp"
        port = uri.port or default_port(transport)
        address = reach.resolve(host)
        if address is None or (address, port) in reach.own or transport not in SUPPORTED:
            return None
        if candidate.transport == "tls" and transport != "tls":
            return None  # what is to be secure is not called otherwise
        called = uri.number or candidate.called
        if len(called) > LONGEST_NUMBER or not called.isprintable():
            return None
        moved = msgspec.structs.replace(
            candidate, host=host, port=port, transport=transport, called=called
        )
        return moved, Peer(transport, address, port)


def _moved(candidate: Candidate, transport: str) -> Candidate:
    return msgspec.structs.replace(candidate, transport=transport, port=default_port(transport))
