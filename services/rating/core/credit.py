"""How much a call needs reserved, what a reserved amount covers, and how reservations are named.

All amounts are units of 10^-10 (see :mod:`services.common.pricing.charge`).
"""

from functools import lru_cache
from typing import Final, Self

import msgspec

from services.common.pricing.charge import Tariff

LONGEST_MS: Final = 30 * 86_400_000
"""What "any length" means where a number is needed: no call lasts thirty days."""


class Ask(msgspec.Struct, frozen=True):
    """What a call wants reserved, and the least that is of any use to it."""

    least: int
    wanted: int


class Cover(msgspec.Struct, frozen=True):
    """A reserved amount and the talk time it pays for."""

    units: int
    paid_ms: int


FREE: Final = Cover(0, LONGEST_MS)
"""Of a call that costs nothing."""


# Calls of one tariff ask the same: what is worked out once serves the others.
@lru_cache(maxsize=4096)
def first_ask(tariff: Tariff, reserve_s: int) -> Ask | None:
    """What to reserve before the call; ``None`` when it can never cost anything.

    The least is the shortest call that is charged: connect fee, first interval, minimum.
    """
    if tariff.is_free:
        return None
    least = tariff.least_units
    return Ask(least, max(least, tariff.units(reserve_s * 1000)))


def next_ask(tariff: Tariff, reserved: int, paid_ms: int, reserve_s: int) -> Ask | None:
    """What to add so that more than ``paid_ms`` is covered; ``None`` when nothing is missing."""
    if paid_ms >= LONGEST_MS:
        return None
    wanted = tariff.units(paid_ms + reserve_s * 1000) - reserved
    least = tariff.units(paid_ms + 1) - reserved
    if wanted <= 0:
        return None
    return Ask(max(least, 0), wanted)


@lru_cache(maxsize=4096)
def cover(tariff: Tariff, units: int) -> Cover:
    """The talk time ``units`` pay for, and the part of them that it really takes."""
    payable = tariff.payable_ms(units)
    paid_ms = LONGEST_MS if payable is None else min(payable, LONGEST_MS)
    return Cover(tariff.units(paid_ms), paid_ms)


def longest_ms(tariff: Tariff, units: int) -> int:
    """The longest call ``units`` could pay for; 0 when there is no limit."""
    payable = tariff.payable_ms(units)
    return 0 if payable is None or payable >= LONGEST_MS else payable


class Backing(msgspec.Struct, frozen=True):
    """What a reservation id says: any rating process can extend or settle by it."""

    lease_id: str
    units: int
    turn: int
    """Counts the extensions: of two ids of one call, the higher turn is the newer."""

    @classmethod
    def parse(cls, reservation_id: str) -> Self | None:
        """Read an id; ``None`` for an empty or foreign one."""
        lease_id, _, rest = reservation_id.partition("/")
        units, _, turn = rest.partition("/")
        numbers = units + turn
        if not (lease_id and units and turn and numbers.isascii() and numbers.isdigit()):
            return None
        if len(numbers) > 40 or not lease_id.isprintable():
            return None
        return cls(lease_id, int(units), int(turn))

    def __str__(self) -> str:
        return f"{self.lease_id}/{self.units}/{self.turn}"
