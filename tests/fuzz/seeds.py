"""Where fuzzing starts: messages known to be awkward, and courses of calls that get far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.fuzz.targets import DESCRIPTIONS
from tests.support.sip_messages import INVITE

TORTURE = Path(__file__).parents[1] / "support/rfc4475"
FOUND = Path(__file__).parent / "found"
"""Inputs that once broke something, by target."""

_INVITE = b"\x00\x00\x00\x00"
_LATE = b"\x00\x01\x00\x00"
_YES = b"\x01\x00\x00"
_PROXY = b"\x01\x00\x82"
_TWO = b"\x01\x00\x83"
_RING = b"\x02\x00\x01\x00\x00\x00"
_EARLY = b"\x02\x00\x02\x00\x01\x00"
_OK_SDP = b"\x02\x00\x03\x00\x01\x00"
_OK = b"\x02\x00\x03\x00\x00\x00"
_BUSY = b"\x02\x00\x0d\x00\x00\x00"
_UNAVAILABLE = b"\x02\x00\x12\x00\x00\x00"
_ACK = b"\x03\x00\x01\x00\x00\x00"
_ACK_SDP = b"\x03\x00\x01\x00\x01\x00"
_BYE = b"\x03\x00\x00\x01\x00\x00"
_REINVITE = b"\x03\x00\x02\x01\x01\x00"
_UPDATE = b"\x03\x00\x03\x02\x01\x00"
_INFO = b"\x03\x00\x04\x03\x00\x00"
_CANCEL = b"\x0a\x00\x00"
_WAIT_33 = b"\x04\x06"
_WAIT_12 = b"\x04\x05"
_HANG_UP = b"\x0c\x00"
_SETUP = _INVITE + _YES + _YES
_ANSWERED = _SETUP + _RING + _OK_SDP + _YES + _ACK
_PROXIED = _INVITE + _PROXY + _YES + _YES + _EARLY + _YES + _OK_SDP + _YES + _YES + _ACK

COURSES = (
    _ANSWERED + _BYE + _OK + _YES,
    _PROXIED + _BYE + _OK + _YES,
    _LATE + _YES + _YES + _OK_SDP + _YES + _ACK_SDP + _BYE + _OK,
    _SETUP + _RING + _CANCEL + b"\x02\x00\x0e\x00\x00\x00" + _WAIT_33,
    _INVITE + _TWO + _YES + _UNAVAILABLE + _YES + _RING + _BUSY,
    _ANSWERED + _REINVITE + _OK_SDP + _ACK + _UPDATE + _OK_SDP + _INFO + _OK + _BYE + _OK,
    _PROXIED + _REINVITE + _YES + _OK_SDP + _YES + _ACK + _HANG_UP + _OK + _OK,
    _SETUP + _RING + _OK_SDP + _YES + _WAIT_33 + _OK + _OK,
    _ANSWERED + _WAIT_12 + _YES + _WAIT_12 + _WAIT_12 + _OK + _OK,
    _INVITE + _INVITE + _YES + _YES + _YES + _YES + _OK_SDP + b"\x07\x00\x00\x00" * 3,
    _SETUP + b"\x0d\x01" + _OK_SDP + b"\x0e\x01\x01\x00" + b"\x0f",
)
"""Decisions of :class:`tests.fuzz.scene.Scene`, in its order of asking for them."""

LINES = (
    b"\x00" + b"\x00\x00\x00\x00\x00" + b"\x01\x00\x00\x00\x00\x00" + b"\x02\x01\x00\x02\x00"
    + b"\x01\x00\x00\x00\x00\x00" * 2 + b"\x08\x00\x00\x00" + b"\x04\x04",
    b"\x02" + b"\x00\x00\x02\x00\x00" + b"\x01\x00\x00\x00\x00\x00" + b"\x02\x01\x00\x02\x00"
    + b"\x07\x00\x00" + b"\x05\x00\x01" + b"\x04\x05",
)  # fmt: skip


def seeds(target: str) -> list[bytes]:
    """What to start ``target`` with, everything found before included."""
    found = [path.read_bytes() for path in sorted((FOUND / target).glob("*"))]
    return [*_BUILT_IN[target](), *found]


def _messages() -> list[bytes]:
    return [INVITE, *(path.read_bytes() for path in sorted(TORTURE.glob("*.dat")))]


def _streams() -> list[bytes]:
    messages = _messages()
    return [b"\x03\x05\x40\xff" + first + b"\r\n\r\n" + second for first, second in
            zip(messages, reversed(messages), strict=True)]  # fmt: skip


_BUILT_IN: dict[str, Callable[[], list[bytes]]] = {
    "parser": lambda: [b"\0" + message for message in _messages()],
    "builder": lambda: [b"\0Q.850;cause=16", b"\1a\r\nb", b"\0"],
    "stream": _streams,
    "layer": lambda: list(LINES),
    "switch": lambda: [*COURSES, *(b"\x0b\xff" + message[:255] for message in _messages())],
    "registrar": lambda: [bytes([each, 0, 0, 0, 0, 0, 1, each, 0, 0, 0]) * 3 for each in range(8)],
    "sdp": lambda: [
        bytes([0, 1, 0, index, 0, 0, 1, 0, 0, index, 0, 0]) for index in range(len(DESCRIPTIONS))
    ],
}
