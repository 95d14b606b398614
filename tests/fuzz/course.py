"""What a fuzzer decides, read from its bytes: any bytes are a course, and none asks too much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")

PIECES = (
    b"", b"\0", b"\r\n", b"\r\n ", b"\r", b"\n", b":", b";", b'"', b"<", b">", b",", b"=", b" ",
    b"\t", b"\xff", b"@", b"%00", b"%", b"\\", b"?", b"[", b"]", b"/", b"-1", b"4294967296",
    b"2147483648", b"00000000000000000001", b";tag=", b";tag=a;tag=b", b"To: x\r\n",
    b"\r\n\r\n", b"Via: ", b"v:", b"l:9\r\n", b"Content-Length: 0\r\n", b"Require: x\r\n",
    b"Record-Route: <sip:198.51.100.1;lr>\r\n", b"Route: <sip:x?a=b>\r\n", b"\xc3\xa9", b"sips:",
    b"tel:", b"*", b"?Route=%3Csip:x%3E", b";lr", b";maddr=192.0.2.99", b"a" * 300,
    b"Contact: *\r\n", b"m: <sip:a@b>,<sip:c@d>\r\n", b"Max-Forwards: 0\r\n", b"SIP/2.0",
    b"SIP/7.0",
)  # fmt: skip
"""What breaks parsers."""


class Course:
    """Reads decisions until the bytes are used up; then everything is 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to decide."""
        return self._at >= len(self._data)

    def byte(self) -> int:
        at = self._at
        self._at = at + 1
        return self._data[at] if at < len(self._data) else 0

    def below(self, limit: int) -> int:
        return self.byte() % limit

    def pick(self, items: Sequence[ItemT]) -> ItemT:
        return items[self.byte() % len(items)]

    def chance(self, one_in: int) -> bool:
        """Rarely true, and never once the course is over."""
        return self.byte() % one_in == 1

    def blob(self) -> bytes:
        """Some of the bytes as they are."""
        length = self.byte()
        at = self._at
        self._at = at + length
        return self._data[at : at + length]

    def rest(self) -> bytes:
        at, self._at = self._at, len(self._data)
        return self._data[at:]

    def damaged(self, data: bytes) -> bytes:
        """``data`` with a few pieces cut out and others put in."""
        for _ in range(1 + self.below(3)):
            at = (self.byte() << 8 | self.byte()) % (len(data) + 1)
            cut = self.below(32) if self.chance(4) else self.below(4)
            piece = self.blob() if self.chance(8) else self.pick(PIECES)
            data = data[:at] + piece + data[at + cut :]
        return data
