"""A call as it is written down, for the media process that goes on with it when this one dies."""

import msgspec

from services.media.core.exchange import Describe, Endpoint, Remote

VERSION = 1
"""Of all that follows: what another version wrote is not read."""


class FacingState(msgspec.Struct, array_like=True, frozen=True):
    """See :class:`services.media.core.facing.Facing`."""

    session_id: int
    version: int
    """Of the last description sent to this party."""
    endpoints: dict[int, Endpoint]
    remotes: dict[int, Remote]
    revision: int
    is_held: bool
    is_awaited: bool


class SessionState(msgspec.Struct, array_like=True, frozen=True):
    """See :class:`services.media.core.session.Session`."""

    caller: FacingState
    attempts: dict[int, FacingState]
    offers: dict[int, Describe]
    active: int | None
    is_answered: bool
    silence_s: float
