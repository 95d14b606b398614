"""Which port pairs are free: the longest rested first, none before its rest is over."""

from collections import deque
from collections.abc import Callable, Collection

from services.common.errors import SwitchError


class NoRtpPorts(SwitchError):
    """Every port pair is in use, resting or taken by somebody else."""

    def __init__(self) -> None:
        super().__init__("no RTP ports")


class PortPool:
    """Even ports of a range; each stands for itself (RTP) and the next (RTCP).

    A port given back rests before it is used again: what its last peer still sends must not
    reach the next call.
    """

    __slots__ = ("_free", "_range", "_rest_s", "size")

    def __init__(
        self, low: int, high: int, *, rest_s: float, shuffle: Callable[[list[int]], None]
    ) -> None:
        self._range = range(low + low % 2, high, 2)
        pairs = list(self._range)
        # In no order that a stranger could predict.
        shuffle(pairs)
        self._rest_s = rest_s
        self._free = deque((0.0, port) for port in pairs)
        self.size = len(pairs)

    @property
    def free(self) -> int:
        """Pairs not in use, those at rest included."""
        return len(self._free)

    def take(self, now: float) -> int:
        """The even port of a free pair.

        Raises:
            NoRtpPorts: none is free, or all that are still rest.
        """
        if not self._free or self._free[0][0] > now:
            raise NoRtpPorts
        return self._free.popleft()[1]

    def claim(self, ports: Collection[int]) -> None:
        """Take pairs that calls of an earlier process are using; any number at once."""
        claimed = frozenset(ports)
        self._free = deque(each for each in self._free if each[1] not in claimed)

    def give_back(self, port: int, now: float) -> None:
        """Let a pair rest; also for one that turned out to be taken by another program.

        One that was claimed, and is of another range than is configured now, is not used again.
        """
        if port in self._range:
            self._free.append((now + self._rest_s, port))
