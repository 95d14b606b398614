"""Rates: read, written one by one, imported by the million."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

from services.api.app.objects import Objects, author_of
from services.api.core.cells import DateOrder
from services.api.core.keys import Caller
from services.api.core.kinds import Kind
from services.api.core.problems import NotFound, Problem, Rejected
from services.api.core.rate_sheet import (
    Header,
    Mode,
    RateSheet,
    RowError,
    SheetRate,
    read_header,
)
from services.api.core.rates import ImportResult, Merged, OnError, Tally
from services.api.core.records import Record, changes, jsonable
from services.api.core.sheet import SheetReader
from services.api.ports import Change, Configuration, Decks, RateFilter
from services.common.errors import Invalid

# Some 10 ms of work.
_SLICE = 16_384


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """How a sheet is to be taken."""

    mode: Mode = Mode.PARTIAL
    on_error: OnError = OnError.ABORT
    dry_run: bool = False
    dates: DateOrder = DateOrder.YMD
    decimal_comma: bool = False


class SheetFailed(Rejected):
    """Rows were bad and the order was to import all or nothing."""

    def __init__(self, result: ImportResult) -> None:
        super().__init__([Problem(_row_path(one), one.reason, "bad_row") for one in result.errors])
        self.result = result


def _row_path(error: RowError) -> str:
    return f"rows[{error.row}]" + (f".{error.column}" if error.column else "")


class Tariffs:
    """The use cases of rates."""

    def __init__(
        self,
        configuration: Configuration,
        decks: Decks,
        objects: Objects,
        utc_now: Callable[[], dt.datetime],
    ) -> None:
        self._configuration = configuration
        self._decks = decks
        self._objects = objects
        self._utc_now = utc_now

    async def page(
        self, deck_id: str, *, after: tuple[str, int] | None, limit: int, filters: RateFilter
    ) -> list[Record]:
        """Rows of a deck. Raises: NotFound."""
        await self._configuration.get(Kind.RATE_DECK, deck_id)
        return await self._decks.rates(deck_id, after=after, limit=limit, filters=filters)

    async def get(self, deck_id: str, rate_id: int) -> Record:
        """One row. Raises: NotFound."""
        rate = await self._configuration.get(Kind.RATE, rate_id)
        return _of(rate, deck_id)

    async def add(self, deck_id: str, rate: SheetRate, caller: Caller) -> Record:
        """One row, as a sheet of one row: the row before it ends where it begins."""
        at = self._utc_now()
        async with self._configuration.change(author_of(caller)) as change:
            await change.get(Kind.RATE_DECK, deck_id)
            merged = await self.merge(change, deck_id, [rate], Mode.PARTIAL, at)
            if merged.errors:
                raise Rejected([Problem(one.column, one.reason) for one in merged.errors])
            row = await change.rate_at(deck_id, rate.prefix, max(rate.valid_from or at, at))
            await change.audit("create", Kind.RATE, str(row["id"]), None, _shown(row))
        await self._objects.told(change)
        return row

    async def patch(self, deck_id: str, rate_id: int, fields: Record, caller: Caller) -> Record:
        """Correct a row in place. Raises: NotFound, Invalid, AlreadyExists."""
        async with self._configuration.change(author_of(caller)) as change:
            before = _of(await change.get(Kind.RATE, str(rate_id)), deck_id)
            found = changes(before, fields)
            if not found:
                return before
            _check_dates({**before, **fields})
            row = await change.update(Kind.RATE, str(rate_id), {n: fields[n] for n in found})
            await change.touch_deck(deck_id)
            await change.audit("update", Kind.RATE, str(rate_id), _shown(before), _shown(row))
        await self._objects.told(change)
        return row

    async def end(
        self, deck_id: str, rate_id: int, at: dt.datetime | None, caller: Caller
    ) -> Record:
        """Let a row end at ``at``, or now: its code is closed from then on."""
        instant = at or self._utc_now()
        return await self.patch(deck_id, rate_id, {"valid_till": instant}, caller)

    async def remove(self, deck_id: str, rate_id: int, caller: Caller) -> None:
        """Remove a row as if it had never been: shorter codes apply again."""
        async with self._configuration.change(author_of(caller)) as change:
            before = _of(await change.get(Kind.RATE, str(rate_id)), deck_id)
            await change.delete(Kind.RATE, str(rate_id))
            await change.touch_deck(deck_id)
            await change.audit("delete", Kind.RATE, str(rate_id), _shown(before), None)
        await self._objects.told(change)

    async def merge(
        self,
        change: Change,
        deck_id: str,
        rates: Sequence[SheetRate],
        mode: Mode,
        at: dt.datetime,
    ) -> Merged:
        """Bring rows given as values into a deck."""
        await change.stage(_each(rates), at)
        return await change.merge(deck_id, mode, at)

    async def import_sheet(
        self, deck_id: str, body: AsyncIterable[bytes], order: ImportOrder, caller: Caller
    ) -> ImportResult:
        """Take a CSV of any length, as a stream, in one transaction.

        Raises:
            NotFound: no such deck.
            SheetFailed: bad rows, and the order was to abort; nothing was imported.
            Rejected: the file as a whole is no rate sheet.
        """
        await self._configuration.get(Kind.RATE_DECK, deck_id)
        sheet = _Sheet(order)
        at = self._utc_now()
        async with self._configuration.change(
            author_of(caller), dry_run=order.dry_run, is_import=True
        ) as change:
            await change.stage(sheet.rates(body), at)
            if sheet.tally.error_count and order.on_error is OnError.ABORT:
                # The good rows still say where they contradict each other.
                sheet.tally.absorb(await change.merge(deck_id, order.mode, at))
                raise SheetFailed(sheet.result(Merged(), applied=False, version=0))
            before = await change.get(Kind.RATE_DECK, deck_id)
            merged = await change.merge(deck_id, order.mode, at)
            sheet.tally.absorb(merged)
            if sheet.tally.error_count and order.on_error is OnError.ABORT:
                raise SheetFailed(sheet.result(Merged(), applied=False, version=0))
            deck = await change.get(Kind.RATE_DECK, deck_id)
            await _note(change, deck_id, order, merged, before, deck)
        await self._objects.told(change)
        version = int(str(before["version"] if order.dry_run else deck["version"]))
        return sheet.result(merged, applied=not order.dry_run, version=version)


class _Sheet:
    """One CSV on its way in."""

    def __init__(self, order: ImportOrder) -> None:
        self.tally = Tally()
        self._order = order
        self._reader = SheetReader()
        self._header: Header | None = None
        self._rows: RateSheet | None = None

    async def rates(self, body: AsyncIterable[bytes]) -> AsyncIterator[SheetRate]:
        """The good rows; the bad ones are counted."""
        async for chunk in body:
            # A client may send megabytes at once: others are served between the slices.
            for start in range(0, len(chunk), _SLICE):
                for rate in self.feed(chunk[start : start + _SLICE]):
                    yield rate
                await asyncio.sleep(0)
        for rate in self.finish():
            yield rate

    def feed(self, data: bytes) -> Iterator[SheetRate]:
        """The good rows completed by ``data``."""
        for row, values in self._reader.feed(data):
            if (rate := self._take(row, values)) is not None:
                yield rate

    def finish(self) -> Iterator[SheetRate]:
        """The last row. Raises: Rejected."""
        for row, values in self._reader.finish():
            if (rate := self._take(row, values)) is not None:
                yield rate
        if self._header is None:
            raise Rejected([Problem("", "the sheet is empty", "malformed_csv")])

    def result(self, merged: Merged, *, applied: bool, version: int) -> ImportResult:
        """What is answered."""
        tally = self.tally
        return ImportResult(
            mode=self._order.mode,
            rows=tally.rows,
            merged=merged,
            error_count=tally.error_count,
            errors=sorted(tally.errors),
            ignored_columns=self._header.ignored if self._header else (),
            applied=applied,
            version=version,
        )

    def _take(self, row: int, values: list[str]) -> SheetRate | None:
        if self._rows is None:
            self._header = read_header(values, self._order.mode)
            self._rows = RateSheet(
                self._header,
                mode=self._order.mode,
                dates=self._order.dates,
                decimal_comma=self._order.decimal_comma or self._reader.delimiter == ";",
            )
            return None
        self.tally.rows += 1
        read = self._rows.read(row, values)
        if isinstance(read, RowError):
            self.tally.refuse(read)
            return None
        return read


async def sheet_rates(text: str, order: ImportOrder) -> tuple[list[SheetRate], list[RowError]]:
    """The rows of a sheet that came as one piece of text.

    Raises:
        Rejected: it is no rate sheet.
    """
    sheet = _Sheet(order)
    rates = [rate async for rate in sheet.rates(_once(text.encode()))]
    return rates, sheet.tally.errors


async def _note(
    change: Change,
    deck_id: str,
    order: ImportOrder,
    merged: Merged,
    before: Record,
    after: Record,
) -> None:
    if not merged.touched:
        return
    done: Record = {
        "version": after["version"],
        "mode": order.mode.value,
        "added": merged.added,
        "changed": merged.changed,
        "ended": merged.ended,
    }
    earlier: Record = {"version": before["version"]}
    await change.audit("import", Kind.RATE_DECK, deck_id, earlier, done)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _each(rates: Sequence[SheetRate]) -> AsyncIterator[SheetRate]:
    for rate in rates:
        yield rate


def _of(rate: Record, deck_id: str) -> Record:
    if rate["rate_deck_id"] != deck_id:
        raise NotFound(Kind.RATE, str(rate["id"]))
    return rate


def _check_dates(rate: Record) -> None:
    start, end = rate["valid_from"], rate["valid_till"]
    if isinstance(start, dt.datetime) and isinstance(end, dt.datetime) and end <= start:
        raise Invalid("valid_till", "must be after valid_from; remove the row instead")


def _shown(rate: Record) -> Record:
    return {name: jsonable(value) for name, value in rate.items()}
