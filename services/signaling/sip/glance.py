"""Refusing new INVITEs at a glance, for when there is no time to parse them (RFC 6357 section 5).

Does for INVITEs as equipment usually writes them what :meth:`.layer.TransactionLayer.shed` does
for all, in a quarter of the time. Whatever is written differently in any way that matters is
left to that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from zlib import crc32

from services.signaling.sip.actions import Peer, Send

SHED_TAG: Final = "shed."
"""What our tag begins with in the answer to a shed INVITE."""

_SHED_ACK: Final = f";tag={SHED_TAG}".encode()
_VIAS: Final = re.compile(rb"\n(?:via|v)[ \t]*:", re.IGNORECASE)
_VIA: Final = re.compile(
    rb"Via: SIP/2\.0/[A-Z]+ (([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?)"
    rb"(?:(;rport)|;branch=(z9hG4bK[^\s;,\"]+)){1,2}"
)
_NEEDED: Final = (b"From", b"To: ", b"Call", b"CSeq")


def is_ack_of_shed(data: bytes) -> bool:
    """Whether this acknowledges a shed INVITE, and is of no interest to anybody."""
    return data.startswith(b"ACK ") and data.find(_SHED_ACK) >= 0


def calls_last(datagrams: Iterable[tuple[bytes, Peer]]) -> list[tuple[bytes, Peer]]:
    """What belongs to calls in progress first, in its order; then new INVITEs, and CANCELs.

    Those inside calls free resources, and one kind of work after the other finds its code in the
    processor's caches. What acknowledges a shed INVITE is left out: nobody waits for it.
    """
    first: list[tuple[bytes, Peer]] = []
    last: list[tuple[bytes, Peer]] = []
    for datagram in datagrams:
        data = datagram[0]
        if is_ack_of_shed(data):
            continue
        if data.startswith(b"CANCEL "):
            last.append(datagram)  # of an INVITE that may be among them
        elif data.startswith(b"INVITE "):
            begin = data.find(b"\nTo:")
            end = data.find(b"\n", begin + 1)
            is_inside = begin < 0 or data.find(b"tag=", begin, end) >= 0
            (first if is_inside else last).append(datagram)
        else:
            first.append(datagram)
    return first + last


class Glance(NamedTuple):
    """A new INVITE, as far as a refusal needs it."""

    transaction: str
    """The key of the transaction it would have, or has already."""
    lines: dict[bytes, bytes]
    """Those an answer echoes, by their first four bytes."""
    host: bytes
    port: int
    """Where its Via says it comes from."""
    asks_rport: bool

    def refusal(self, source: Peer, headers: bytes = b"") -> Send:
        """503; ``headers`` are whole lines, each after a line break."""
        lines = self.lines
        via, peer = lines[b"Via:"], source
        host = source.host.encode()
        if self.asks_rport:
            via = via.replace(b";rport", b";rport=%d" % source.port, 1) + b";received=" + host
        else:
            if self.host != host:
                via += b";received=" + host
            if not source.reliable and source.port != self.port:
                peer = source._replace(port=self.port)
        call_id, cseq = lines[b"Call"], lines[b"CSeq"]
        # "must be the same tag for the same request" (RFC 3261 section 8.2.7)
        data = (
            b"SIP/2.0 503 Service Unavailable\r\n%b\r\n%b\r\n%b\r\n%b\r\n%b;tag=%b%08x%b"
            b"\r\nContent-Length: 0\r\n\r\n"
        ) % (
            via, lines[b"From"], call_id, cseq, lines[b"To: "], SHED_TAG.encode(),
            crc32(call_id[8:].strip() + cseq[5:].strip()), headers,
        )  # fmt: skip
        return Send(data, peer)


def glance(data: bytes) -> Glance | None:
    """Look at an INVITE; ``None`` when it is no new call, or not written as usual."""
    head, blank, _ = data.partition(b"\r\n\r\n")
    # "x in bytes" takes four times as long as find(): it tries x as a number first.
    if not blank or head.find(b"\n ") >= 0 or head.find(b"\n\t") >= 0:
        return None
    if len(_VIAS.findall(head)) != 1:
        return None
    found = head.split(b"\r\n")
    breaks = len(found) - 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or 0 in head:
        return None
    lines = {line[:4]: line for line in found}
    try:
        via = _VIA.fullmatch(lines[b"Via:"])
        if via is None or lines[b"To: "].lower().find(b"tag=") >= 0:
            return None
        is_whole = lines[b"Call"].startswith(b"Call-ID:") and lines[b"CSeq"][4:5] == b":"
        if not is_whole or lines[b"From"][4:5] != b":":
            return None
    except KeyError:
        return None
    sent_by, host, port, rport, branch = via.groups()
    if branch is None or not 0 < int(port or 5060) < 65536:
        return None
    transaction = f"{branch.decode('latin-1')} {sent_by.decode().lower()} INVITE"
    return Glance(transaction, lines, host, int(port or 5060), rport is not None)
