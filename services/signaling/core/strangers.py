"""What is looked into of messages that come from no trunk's address."""

from __future__ import annotations

from services.signaling.core.context import Context
from services.signaling.sip.actions import Peer
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.message import parse

_TO_PROVE = frozenset((b"INVITE ", b"REGISTE", b"ACK sip", b"CANCEL "))
"""How requests begin that anybody may send where there are passwords: to be challenged, to
acknowledge that, and to give up."""


def may_speak(context: Context, data: bytes, source: Peer) -> bool:
    """Whether the message of a stranger is more than counted."""
    if context.location.knows(source.host):
        return True
    if context.trunks.digest.users and data[:7] in _TO_PROVE:
        return True
    # One that names a dialog of ours: its call may come by a detour.
    try:
        return parse(data).to_tag.partition("-")[0] in context.dialogs
    except MalformedMessage:
        return False
