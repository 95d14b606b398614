"""What all groups of options have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec


class Conflict(NamedTuple):
    """Two options of a group that do not go together."""

    field: str
    """The one that has to change, with dots where it is one of a group inside."""
    reason: str
    """What is wanted, in the words of the field."""
    others: tuple[str, ...] = ()
    """Groups inside that were looked at besides."""


class Group(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A set of options; one that nobody knows is an error, not a silent loss."""

    def __post_init__(self) -> None:
        for conflict in self.conflicts():
            raise ValueError(f"{conflict.field}: {conflict.reason}")

    def conflicts(self) -> Iterable[Conflict]:
        """What must not be, wherever it comes from: there is no such set."""
        return ()

    def nonsense(self) -> Iterable[Conflict]:
        """What cannot have been meant: api refuses it, a trunk that has it still works."""
        return ()
