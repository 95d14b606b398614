"""Identifiers: a prefix that says what it names, then a UUIDv7 (RFC 9562 section 5.7) in hex.

They sort by creation time, so tables keyed by them grow at one end.
"""

import os
import time
from typing import Final

ACCOUNT: Final = "acc"
CALL: Final = "cal"
CUSTOMER_TRUNK: Final = "ctr"
VENDOR_TRUNK: Final = "vtr"
DECK: Final = "dck"
LEASE: Final = "lea"
RESERVATION: Final = "rsv"
USER: Final = "usr"
API_KEY: Final = "key"
WEBHOOK: Final = "whk"
DELIVERY: Final = "dlv"
PAYMENT: Final = "pay"
AUDIT_EVENT: Final = "aud"


def uuid7(unix_ms: int, random: bytes) -> str:
    """The 32 hex digits of a UUIDv7 from a time in milliseconds and ten random bytes."""
    value = (unix_ms & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(random, "big")
    value &= ~(0xF << 76) & ~(0x3 << 62)
    return f"{value | 0x7 << 76 | 0x2 << 62:032x}"


def new_id(prefix: str) -> str:
    """A fresh identifier such as ``cal_0198f3...``."""
    return f"{prefix}_{uuid7(time.time_ns() // 1_000_000, os.urandom(10))}"
