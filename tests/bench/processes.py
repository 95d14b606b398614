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
def held_to(pid: int, share: float) -> Iterator[bool]:
    """Give a process only so much of one processor, by a control group; whether that works."""
    period_us = 10_000
    quota_us = round(period_us * share)
    first, second = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    group = (first if first.is_dir() else second) / f"tandem-bench-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield False
        return
    try:
        if group.parent == first:
            (group / "cpu.cfs_period_us").write_text(f"{period_us}")
            (group / "cpu.cfs_quota_us").write_text(f"{quota_us}")
        else:
            (group / "cpu.max").write_text(f"{quota_us} {period_us}")
        (group / "cgroup.procs").write_text(f"{pid}")
        yield True
    finally:
        (group.parent / "cgroup.procs").write_text(f"{pid}")
        group.rmdir()


@dataclass
class Usage:
    """CPU of named processes between two looks."""

    pids: dict[str, int]

    def __post_init__(self) -> None:
        self._before = {name: cpu_us(pid) for name, pid in self.pids.items()}

    def spent_us(self) -> dict[str, float]:
        """Microseconds of CPU by name since this was made."""
        return {name: cpu_us(pid) - self._before[name] for name, pid in self.pids.items()}
