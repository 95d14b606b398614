"""How vendors are, as operators see it: one line per trunk, one per address."""

from __future__ import annotations

from typing import NamedTuple

from services.signaling.core.addressing import vendor_peer
from services.signaling.core.context import Context
from services.signaling.core.trunks import VendorPlace
from services.signaling.core.vendor_health import Seen
from services.signaling.sip.actions import Peer


class State(NamedTuple):
    """What is known of a trunk, or of one of its addresses."""

    state: str
    """``up``, ``down``, ``backoff``, ``unknown`` (nobody asks it), ``unresolved`` (its name has no
    address) or ``disabled``."""
    since: float | None = None
    why: str = ""
    until: float | None = None
    """When one that asked to be left alone is called again."""


class VendorView(NamedTuple):
    """One vendor trunk."""

    place: VendorPlace
    state: State
    targets: list[tuple[Peer, State]]
    calls: int


def vendor_views(context: Context, now: float) -> list[VendorView]:
    """Every vendor trunk, by id."""
    seen: dict[str, list[Seen]] = {}
    for each in context.reach.health.seen(now):
        seen.setdefault(each.vendor_trunk_id, []).append(each)
    return [_view(context, place, seen.get(place.id, [])) for place in context.trunks.places]


def _view(context: Context, place: VendorPlace, seen: list[Seen]) -> VendorView:
    known = {each.peer: _state(each) for each in seen}
    own = context.reach.every_peer(place)
    if place.sip.listener:
        known |= {peer: lost for peer in own if (lost := _unlistened(context, place, peer))}
    # Where a redirection led is no address of the trunk, but may have asked to be left alone.
    targets = [(peer, known.get(peer, _UNKNOWN)) for peer in dict.fromkeys([*own, *known])]
    calls = context.vendor_limits.calls(place.id)
    if not place.enabled:
        return VendorView(place, State("disabled"), targets, calls)
    states = [state for peer, state in targets if peer in set(own)]
    return VendorView(place, _summary(states), targets, calls)


_UNKNOWN = State("unknown", why="not asked")


def _unlistened(context: Context, place: VendorPlace, peer: Peer) -> State | None:
    """How an address is that the trunk's listener cannot reach."""
    why = context.listeners.why_not(vendor_peer(place.host, *peer[1:3], peer.transport, place.sip))
    return State("down", why=why) if why else None


def _state(seen: Seen) -> State:
    return State(seen.state, seen.since, seen.why, seen.until or None)


def _summary(states: list[State]) -> State:
    """A trunk is as well as the best of its addresses."""
    if not states:
        return State("unresolved", why="its name has no address")
    for wanted in ("up", "unknown"):
        fit = [state for state in states if state.state == wanted]
        if fit:
            return min(fit, key=lambda state: state.since or 0.0)
    resting = [state for state in states if state.state == "backoff"]
    if resting:
        # The first that will be called again.
        return min(resting, key=lambda state: state.until or 0.0)
    # It is down since the last of them went.
    return max(states, key=lambda state: state.since or 0.0)
