"""Refusing new INVITEs at a glance, for when there is no time to parse them (RFC 6357 section 5).

Does for INVITEs as equipment usually writes them what :meth:`.layer.TransactionLayer.shed` does
for all, in a quarter of the time. Whatever is written differently in any way that matters is
left to that.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any, Final
from zlib import crc32

import msgspec

from services.signaling.sip.actions import Peer, Send

TAG_RUN: Final = 23 * "Q"
"""Wherever it begins, every sixteenth byte of a message hits it with seven more to follow.

Of a character that nobody else writes eight times: digits are masked by ``x``, zeros are ``A`` in
base64, ones ``/`` or ``_``.
"""
SHED_TAG: Final = f"shed.{TAG_RUN}"
"""What our tag begins with in the answer to a shed INVITE."""

_SHED: Final = f";tag={SHED_TAG}".encode()
_STEP: Final = 32
"""Refusals are as long as a multiple of this: those of equal length leave together."""
_ENDS: Final = tuple(
    b"\r\nContent-Length:" + b" " * (_STEP - (length + 22) % _STEP) + b"0\r\n\r\n"
    for length in range(_STEP)
)
"""By the length of what comes before; blanks are allowed there (RFC 3261 section 25.1)."""
_LINE: Final = rb"[^\r\n\0]*+"
"""The rest of a line that is echoed."""
_ANY: Final = rb".*"
"""The rest of any other, up to its CR LF: a third of the time, and nobody sees what is in it."""


def _once(group: int, line: bytes) -> bytes:
    """``line`` captured as that group, unless it was before."""
    return rb"(?(%d)(?!)|(%b))" % (group, line)


_SENT_BY: Final = rb"(([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?)"
_VIA_LINE: Final = (
    rb"Via: SIP/2\.0/[A-Z]+ " + _SENT_BY + rb"(?:(;rport)|;branch=(z9hG4bK[^\s\0;,\"]+)){1,2}"
)
_INVITE: Final = re.compile(
    rb"INVITE " + _ANY + rb"\r\n(?:(?:"
    + b"|".join(
        (
            rb"[^\s\0VvFfTtIiCc]" + _ANY,
            rb"Con" + _ANY,
            _once(1, _VIA_LINE),
            _once(7, rb"From:" + _LINE),
            _once(8, rb"To: " + _LINE),
            _once(9, rb"Call-ID:" + _LINE),
            _once(10, rb"CSeq:" + _LINE),
            rb"(?!Con|(?i:via|v|from|f|to|t|call-id|i|cseq)[ \t]*:)[VvFfTtIiCc]" + _ANY,
        )
    )
    + rb")\r\n)+\r\n"
)  # fmt: skip
"""The head of an INVITE in which what an answer needs is there once, and written as usual.

No line fits two alternatives: trying all ways to read a head that does not fit takes no longer.
"""


class Kind(Enum):
    """What a message is to somebody who has no time."""

    NEW_CALL = auto()
    CANCEL = auto()
    ACK_OF_SHED = auto()
    """Of no interest to anybody."""
    OTHER = auto()


# Attributes of an Enum class are looked up in a microsecond's tenth.
NEW_CALL, CANCEL, ACK_OF_SHED, OTHER = Kind


def kind_of(data: bytes) -> Kind:
    """By a look at the method and at To."""
    if data.startswith(b"INVITE "):
        begin = data.find(b"\nTo:")
        end = data.find(b"\n", begin + 1)
        is_inside = begin < 0 or data.find(b"tag=", begin, end) >= 0
        return OTHER if is_inside else NEW_CALL
    if data.startswith(b"ACK "):
        return ACK_OF_SHED if data.find(_SHED) >= 0 else OTHER
    return CANCEL if data.startswith(b"CANCEL ") else OTHER


def comes_first(data: bytes) -> bool:
    """Whether a caller listens for what this leads to: it dials, or tells that it rings.

    Also what ends a call, lest one that is dialled after it finds all lines taken still; and 100,
    so that traces show it before what came after it. A BYE may thus overtake what its sender
    sent before it, as datagrams may on their way.
    """
    if data.startswith((b"SIP/2.0 1", b"BYE ")):
        return True
    return data.startswith(b"INVITE ") and kind_of(data) is NEW_CALL


class Glance(msgspec.Struct, frozen=True, gc=False):
    """A new INVITE, as far as a refusal needs it: lines as they are, without their ends."""

    transaction: str
    """The key of the transaction it would have, or has already."""
    parts: tuple[Any, ...]
    """The groups of :data:`_INVITE`, bytes; ``None`` for a port or rport that is not there."""

    def refusal(self, source: Peer, headers: bytes = b"") -> Send:
        """503; ``headers`` are whole lines, each after a line break."""
        via, _, host, port, rport, _, from_, to, call_id, cseq = self.parts
        actual_host, peer = source.host.encode(), source
        if rport:
            via = via.replace(b";rport", b";rport=%d" % source.port, 1)
        elif source.port != (number := _port(port)) and not source.reliable:
            peer = source._replace(port=number)
        if rport or host != actual_host:
            via += b";received=" + actual_host
        # "must be the same tag for the same request" (RFC 3261 section 8.2.7)
        data = (
            b"SIP/2.0 503 Service Unavailable\r\n%b\r\n%b\r\n%b\r\n%b\r\n%b%b%08x%b"
        ) % (
            via, from_, call_id, cseq, to, _SHED,
            crc32(call_id[8:].strip() + cseq[5:].strip()), headers,
        )  # fmt: skip
        return Send(data + _ENDS[len(data) % _STEP], peer)


def glance(data: bytes) -> Glance | None:
    """Look at an INVITE; ``None`` when it is no new call, or not written as usual."""
    found = _INVITE.match(data)
    if found is None:
        return None
    parts = found.groups()
    _, sent_by, _, port, _, branch, from_, to, call_id, cseq = parts
    if not (branch and from_ and to and call_id and cseq) or to.lower().find(b"tag=") >= 0:
        return None
    if not 0 < _port(port) < 65536:
        return None
    return Glance(f"{branch.decode('latin-1')} {sent_by.decode().lower()} INVITE", parts)


def _port(written: bytes | None) -> int:
    return int(written) if written else 5060
