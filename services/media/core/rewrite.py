"""Writing the description that one party gets in place of the other's.

Codecs and attributes pass unchanged. Replaced or left out is whatever names an address or a
party: ``o= s= i= u= e= p= k= c=``, the ports, ``a=rtcp``, and attributes that would carry the
media around us or change its transport (ICE, DTLS, bundling, multiplexed RTCP, capability
negotiation).
"""

from dataclasses import dataclass
from typing import Final

from services.media.core.sdp import Description, Family, Media

_DROPPED_ATTRIBUTES: Final = frozenset(
    b"candidate remote-candidates end-of-candidates ice-ufrag ice-pwd ice-options ice-lite "
    b"ice-mismatch ice-pacing fingerprint setup tls-id connection group mid bundle-only msid "
    b"msid-semantic rtcp rtcp-mux rtcp-mux-only alt altc source-filter acap tcap pcfg acfg csup "
    b"creq visited-realm secondary-realm".split()
)
_DROPPED_LINES: Final = frozenset({b"o=", b"s=", b"i=", b"u=", b"e=", b"p=", b"k=", b"c="})


@dataclass(frozen=True, slots=True)
class Placement:
    """Where we take media on behalf of the describer."""

    family: Family
    host: str
    ports: tuple[int, ...]
    """One even port per m-line; 0 refuses it."""


class Origin:
    """Our identity towards one party: the ``o=`` line (RFC 3264 section 8).

    The version grows by one exactly when the rest of the description changes, so that a
    repeated description is recognised as one.
    """

    __slots__ = ("_last", "session_id", "version")

    def __init__(self, session_id: int, version: int = 0) -> None:
        self.session_id = session_id
        self.version = version
        """Of the last description. One that another process wrote counts as unlike the next."""
        self._last = 0

    def sign(self, placement: Placement, body: bytes) -> bytes:
        """The complete description: version line, origin, then ``body``."""
        # A digest is kept instead of the text: 8 bytes per party and call instead of 1 kB.
        digest = hash(body)
        if digest != self._last or not self.version:
            self.version += 1
            self._last = digest
        address = f"IN IP{placement.family} {placement.host}"
        return f"v=0\r\no=- {self.session_id} {self.version} {address}\r\n".encode() + body


def rewrite(description: Description, placement: Placement) -> bytes:
    """The body, after ``v=`` and ``o=``, that stands for ``description`` at ``placement``."""
    lines = [b"s=-", f"c=IN IP{placement.family} {placement.host}".encode()]
    kept = [line for line in description.lines if _is_kept(line)]
    lines += kept
    if not any(line[:2] == b"t=" for line in kept):
        lines.append(b"t=0 0")
    for media, port in zip(description.media, placement.ports, strict=True):
        lines += rejected(media) if port == 0 else _placed(media, port)
    lines.append(b"")
    return b"\r\n".join(lines)


def rejected(media: Media) -> list[bytes]:
    """The m-line refused (RFC 3264 section 6: its port is zero, the rest is only form)."""
    return [b"m=%b 0 %b %b" % (media.kind, media.protocol, media.formats)]


def _placed(media: Media, port: int) -> list[bytes]:
    lines = [b"m=%b %d %b %b" % (media.kind, port, media.protocol, media.formats)]
    if media.connection is not None and media.connection.is_null:
        # RFC 3264 section 8.4: a null address asks the peer to stop sending; pass that on.
        lines.append(b"c=IN IP4 0.0.0.0" if media.connection.family == 4 else b"c=IN IP6 ::")
    lines += [line for line in media.lines if _is_kept(line)]
    if media.has_rtcp:
        lines.append(b"a=rtcp:%d" % (port + 1))
    return lines


def _is_kept(line: bytes) -> bool:
    if line[:2] == b"a=":
        return line[2:].partition(b":")[0].rstrip() not in _DROPPED_ATTRIBUTES
    return line[:2] not in _DROPPED_LINES
