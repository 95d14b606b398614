"""Nonces of digest challenges: made by any node, known by all, each count of one used once.

A nonce is its own proof: the second it was made, a random part and a keyed hash over both and
the address it was made for. So every node that has the key knows its own and its neighbours', and
nothing is kept of those that are never used. What was used is remembered by the node that saw
it, until the nonce is too old anyway.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

LIFETIME_S: Final = 300
"""Long enough for the calls of a phone to reuse it, short for whoever has overheard one."""
SKEW_S: Final = 30
"""How far ahead the clock of another node may be."""
MOST_USED: Final = 100_000
"""Nonces in use at once; beyond, the oldest count as too old, so none is ever forgotten."""
_WINDOW: Final = 64
"""Counts that may still come after a higher one: datagrams overtake each other."""
_TIME_DIGITS: Final = 8
_MAC_DIGITS: Final = 32


class Nonces:
    """See the module docstring. ``random`` makes unguessable hexadecimal tokens."""

    def __init__(self, random: Callable[[], str]) -> None:
        self._random = random
        self._used: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._oldest_s = 0

    def make(self, key: bytes, source: str, unix_s: int) -> str:
        """A fresh nonce for whoever asks from ``source``."""
        head = f"{unix_s:0{_TIME_DIGITS}x}{self._random()}"
        return head + _mac(key, head, source)

    def is_fresh(self, key: bytes, nonce: str, source: str, unix_s: int) -> bool:
        """Whether a nonce was made with ``key`` for ``source``, and not too long ago."""
        head, mac = nonce[:-_MAC_DIGITS], nonce[-_MAC_DIGITS:]
        given = mac.encode("latin-1", "replace")
        if not hmac.compare_digest(_mac(key, head, source).encode(), given):
            return False
        made_s = int(head[:_TIME_DIGITS], 16)
        return self._oldest_s <= made_s and -SKEW_S <= unix_s - made_s <= LIFETIME_S

    def use(self, nonce: str, count: int, unix_s: int) -> bool:
        """Take one use of a fresh nonce; ``False`` when this count was used before."""
        highest, seen = self._used.get(nonce, (0, 0))
        if count > highest:
            shift = count - highest
            seen = (seen << shift if shift < _WINDOW else 0) & ((1 << _WINDOW) - 1) | 1
            self._used[nonce] = (count, seen)
            self._tidy(unix_s)
            return True
        behind = highest - count
        if count == 0 or behind >= _WINDOW or seen >> behind & 1:
            return False
        self._used[nonce] = (highest, seen | 1 << behind)
        return True

    def _tidy(self, unix_s: int) -> None:
        """Drop what is too old; the first used are about the first made."""
        used = self._used
        while used:
            oldest = next(iter(used))
            made_s = int(oldest[:_TIME_DIGITS], 16)
            if unix_s - made_s <= LIFETIME_S and len(used) <= MOST_USED:
                return
            self._oldest_s = max(self._oldest_s, made_s + 1)
            del used[oldest]


def _mac(key: bytes, head: str, source: str) -> str:
    text = f"{head} {source}".encode("latin-1", "replace")
    return hmac.digest(key, text, "sha256").hex()[:_MAC_DIGITS]
