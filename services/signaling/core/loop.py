"""The way from one call of this process to another: a transferred call INVITEs ourselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from services.common.sip_options.keepalive import KeepAlive
from services.common.sip_options.reliable import Reliable
from services.common.sip_options.session_timer import SessionTimer
from services.signaling.core.trunks import CustomerTrunk
from services.signaling.sip.actions import Peer
from services.signaling.sip.message import Request
from services.signaling.sip.refer import Replaces

if TYPE_CHECKING:
    from services.signaling.core.call import Call
    from services.signaling.core.context import Context
    from services.signaling.core.record import CallRecord

LOOP: Final = Peer("loop", "loop", 0)
"""Where calls of ours send to each other: no socket leads there, and no stranger comes from it."""


class Onward(NamedTuple):
    """What is known of an INVITE to ourselves beside what it says."""

    trunk_id: str
    """The transferor's: it pays."""
    account_id: str
    source: str
    """Where the transferor's signaling comes from, as records write it."""
    replaces: Replaces | None = None
    """The call of his that takes the transferee in, instead of a new one."""
    privacy: str = ""
    """What was withheld of him in the call that he transfers, as in Privacy (RFC 3323)."""

    @classmethod
    def of(cls, record: CallRecord, replaces: Replaces | None) -> Onward:
        """From the call of this record."""
        trunk_id, account_id = record.customer_trunk_id, record.account_id
        return cls(trunk_id, account_id, record.source, replaces, record.privacy)


def caller_of(context: Context, invite: Request, source: Peer) -> CustomerTrunk | None:
    """The trunk that an INVITE is of; ``None`` when nobody knows."""
    if source != LOOP:
        return context.trunks.identify(source.host, source.port, invite)
    onward = context.transfers.get(invite.call_id)
    trunk = None if onward is None or onward.replaces else context.trunks.customer(onward.trunk_id)
    if trunk is None:
        return None
    # Between two calls of ours nothing gets lost, neither outlives the other, and there is no
    # transport that the customer could have chosen or that had to be kept open.
    sip = replace(
        trunk.sip,
        reliable=Reliable(),
        session_timer=SessionTimer(),
        transports=(),
        keepalive=KeepAlive(),
    )
    return replace(trunk, sip=sip)


def origin_of(context: Context, invite: Request) -> str:
    """Where an INVITE to ourselves comes from in truth."""
    onward = context.transfers.get(invite.call_id)
    return "" if onward is None else onward.source


def call_to_join(context: Context, invite: Request) -> Call | None:
    """The call that an INVITE to ourselves asks to be let into; ``None`` for a new one."""
    onward = context.transfers.get(invite.call_id)
    if onward is None or onward.replaces is None:
        return None
    return holder(context, onward.replaces)


def holder(context: Context, replaces: Replaces) -> Call | None:
    """The call that may have the dialog."""
    tag = replaces.to_tag
    found = context.dialogs.get(tag) or context.dialogs.get(tag.partition("-")[0])
    return None if found is None else found[0]
