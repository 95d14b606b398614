"""What an import did to a deck, or would do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.api.core.rate_sheet import Mode, RowError

MOST_ERRORS = 1000
"""Row errors told in full; the rest are only counted."""


class OnError(StrEnum):
    """What a bad row means for the others."""

    ABORT = "abort"
    """Nothing is imported."""
    SKIP = "skip"
    """The good rows are imported."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Rows of the deck, by what became of them."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    ended: int = 0
    """Codes that end with this import, and scheduled rows that were dropped."""
    errors: tuple[RowError, ...] = ()
    """Rows that contradict each other or the deck: at most :data:`MOST_ERRORS` of them."""
    error_count: int = 0

    @property
    def touched(self) -> bool:
        """Whether the deck is different now."""
        return bool(self.added or self.changed or self.ended)


@dataclass(slots=True)
class Tally:
    """Counts rows while they stream by; holds the first errors."""

    rows: int = 0
    error_count: int = 0
    errors: list[RowError] = field(default_factory=list)

    def refuse(self, error: RowError) -> None:
        """Count a bad row."""
        self.error_count += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(error)

    def absorb(self, merged: Merged) -> None:
        """Add the errors that only showed when all rows stood side by side."""
        self.error_count += merged.error_count
        room = MOST_ERRORS - len(self.errors)
        self.errors += merged.errors[:room]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The answer to an import."""

    mode: Mode
    rows: int
    merged: Merged
    error_count: int
    errors: Sequence[RowError]
    ignored_columns: Sequence[str]
    applied: bool
    """False after a dry run, and when a bad row stopped everything."""
    version: int
    """Of the deck, afterwards."""
