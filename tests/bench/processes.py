"""What a process used: CPU (user + system) and resident memory, from /proc."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_us(pid: int) -> float:
    """User and system time so far, of the process and of the children it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(value) for value in fields[11:15]) * _TICK_US


def rss_bytes(pid: int) -> int:
    """Resident memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


@contextmanager
def apart() -> Iterator[set[int]]:
    """Keep this process, and what it starts, off one processor: yielded, for :func:`give`.

    Empty where there is only one.
    """
    allowed = os.sched_getaffinity(0)
    kept = {min(allowed)} if len(allowed) > 1 else set[int]()
    os.sched_setaffinity(0, allowed - kept)
    try:
        yield kept
    finally:
        os.sched_setaffinity(0, allowed)


def give(pid: int, processors: set[int]) -> None:
    """Let a process run on these only; on any if there are none."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        if processors:
            os.sched_setaffinity(int(thread.name), processors)


@dataclass
class Usage:
    """CPU of named processes between two looks."""

    pids: dict[str, int]

    def __post_init__(self) -> None:
        self._before = {name: cpu_us(pid) for name, pid in self.pids.items()}

    def spent_us(self) -> dict[str, float]:
        """Microseconds of CPU by name since this was made."""
        return {name: cpu_us(pid) - self._before[name] for name, pid in self.pids.items()}
