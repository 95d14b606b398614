"""Which calls are followed live, message by message."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from services.signaling.core.record import CallRecord


class TraceChoice:
    """By trunk, by number, or all. Immutable; a changed configuration makes another."""

    __slots__ = ("_is_all", "_prefixes", "_trunks", "is_any")

    def __init__(
        self,
        *,
        is_all: bool = False,
        prefixes: Iterable[str] = (),
        trunks: Collection[str] = (),
    ) -> None:
        self._is_all = is_all
        self._prefixes = tuple(prefixes)
        """Digits that caller or called number begins with."""
        self._trunks = frozenset(trunks)
        """Ids of customer and vendor trunks."""
        self.is_any = is_all or bool(self._prefixes) or bool(self._trunks)
        """Whether any call can be chosen at all."""

    def wants(self, record: CallRecord) -> bool:
        """Whether the call is one of them, as far as is known of it by now."""
        if self._is_all or record.customer_trunk_id in self._trunks:
            return True
        numbers = (record.caller.lstrip("+"), record.called.lstrip("+"))
        if self._prefixes and any(number.startswith(self._prefixes) for number in numbers):
            return True
        return any(
            attempt.candidate.vendor_trunk_id in self._trunks for attempt in record.attempts
        )


NO_TRACES = TraceChoice()


def prefixes_of(text: str) -> tuple[str, ...]:
    """Prefixes as the setting has them, separated by commas."""
    return tuple(digits for part in text.split(",") if (digits := part.strip()).isdigit())
