"""ACKs to INVITEs refused in a flood, dropped by the kernel before they cost a wakeup.

Nobody waits for them, and in a flood they are a third of what comes. A classic BPF program on
the socket looks for the run of characters in our tag of such answers, at every sixteenth byte. It
needs no privilege, and what it does not recognise is dropped later.
"""

from __future__ import annotations

import socket
import struct
from array import array
from typing import Final

from services.common.logs import get_logger
from services.signaling.sip.glance import TAG_RUN

log = get_logger(__name__)

_SO_ATTACH_FILTER: Final = 26
_PROGRAM: Final = struct.Struct("@HP")
_INSTRUCTION: Final = struct.Struct("@HBBI")
_LOAD_LENGTH: Final = 0x80
_LOAD_WORD: Final = 0x20
_IF_EQUAL: Final = 0x15
_IF_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_WHOLE: Final = 0xFFFF_FFFF
_UDP_HEADER: Final = 8
_WORD: Final = 4
_STEP: Final = 16
"""Older kernels take no program of more than 20 kB, and make five instructions of each of ours."""
_FIRST: Final = 64
"""Where To may be at the earliest."""
_LAST: Final = 800
"""One that comes later is left to us."""

_Instruction = tuple[int, int, int, int]
"""Operation, how many to skip if true and if not, operand."""


def _word(text: bytes) -> int:
    return int.from_bytes(text, "big")


def _program() -> list[_Instruction]:
    take: _Instruction = (_RETURN, 0, 0, _WHOLE)
    drop: _Instruction = (_RETURN, 0, 0, 0)
    run = _word(TAG_RUN[:_WORD].encode())
    program = [
        (_LOAD_LENGTH, 0, 0, 0),
        (_IF_AT_LEAST, 1, 0, _UDP_HEADER + _FIRST),
        take,
        (_LOAD_WORD, 0, 0, _UDP_HEADER),
        (_IF_EQUAL, 1, 0, _word(b"ACK ")),
        take,
    ]
    for at in range(_UDP_HEADER + _FIRST, _UDP_HEADER + _LAST, _STEP):
        program += [
            # What is read beyond the end drops a datagram.
            (_LOAD_LENGTH, 0, 0, 0),
            (_IF_AT_LEAST, 1, 0, at + 2 * _WORD),
            take,
            (_LOAD_WORD, 0, 0, at),
            (_IF_EQUAL, 0, 3, run),
            (_LOAD_WORD, 0, 0, at + _WORD),
            (_IF_EQUAL, 0, 1, run),
            drop,
        ]
    return [*program, take]


def ignore_acks_of_refusals(sock: socket.socket) -> None:
    """Do so on a UDP socket; where the kernel will not, they are read like all others."""
    program = _program()
    code = array("B", b"".join(_INSTRUCTION.pack(*one) for one in program))
    attached = _PROGRAM.pack(len(program), code.buffer_info()[0])
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)
    except OSError as error:
        log.warning("udp.no_filter", reason=str(error))
