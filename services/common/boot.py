"""Which start of the machine this is."""

from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """What tells one start of this machine, hence of its monotonic clock, from another."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
