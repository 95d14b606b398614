"""Nonces of digest challenges: made by any node, known by all, each count of one used once.

A nonce is its own proof: the second it was made, a random part and a keyed hash over both and
the address it was made for. So every node that has the key knows its own and its neighbours', and
nothing is kept of those that are never used. What was used is remembered, until the nonce is too
old anyway, by the node that saw it and by those it told. A node believes no nonce from before its
own start: it cannot know of its uses.
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
LONGEST: Final = 200
"""Characters of a nonce that another node may speak of."""
_TIME_DIGITS: Final = 8
_MAC_DIGITS: Final = 32


class Nonces:
    """See the module docstring.

    Args:
        random: makes unguessable hexadecimal tokens.
        started_s: when this node started; Unix time, as all instants here.
    """

    def __init__(self, random: Callable[[], str], *, started_s: int = 0) -> None:
        self._random = random
        self._used: OrderedDict[str, tuple[int, int]] = OrderedDict()
        # The process before this one may have made some in the very second.
        self._oldest_s = started_s + 1
        self.on_used: Callable[[str, int], None] = _tell_nobody
        """Hears of each nonce and count taken here."""

    def make(self, key: bytes, source: str, unix_s: int) -> str:
        """A fresh nonce for whoever asks from ``source``."""
        # It has to count as one of this node's; a little ahead is within every node's skew.
        made_s = min(max(unix_s, self._oldest_s), unix_s + SKEW_S + 1)
        head = f"{made_s:0{_TIME_DIGITS}x}{self._random()}"
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
        if not self._take(nonce, count, unix_s):
            return False
        self.on_used(nonce, count)
        return True

    def hear(self, nonce: str, count: int, unix_s: int) -> bool:
        """Note a use at another node; ``False`` when it was taken here as well.

        What is too old, or cannot be a nonce, is of no interest.
        """
        made = nonce[:_TIME_DIGITS]
        if len(nonce) > LONGEST or not _HEXADECIMAL.issuperset(made) or len(made) < _TIME_DIGITS:
            return True
        made_s = int(made, 16)
        if made_s < self._oldest_s or not -SKEW_S <= unix_s - made_s <= LIFETIME_S:
            return True
        return self._take(nonce, count, unix_s)

    def _take(self, nonce: str, count: int, unix_s: int) -> bool:
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


_HEXADECIMAL: Final = frozenset("0123456789abcdef")


def _tell_nobody(_nonce: str, _count: int) -> None:
    """There are no other nodes."""


def _mac(key: bytes, head: str, source: str) -> str:
    text = f"{head} {source}".encode("latin-1", "replace")
    return hmac.digest(key, text, "sha256").hex()[:_MAC_DIGITS]
