"""Rates in Postgres, read. Implements :class:`services.api.ports.Decks`."""

from collections.abc import Sequence

from services.api.adapters.database import Database, as_record
from services.api.core.records import Record
from services.api.core.tariff import Rate, prefixes_of
from services.api.ports import RateFilter

_COLUMNS = """
    id, deck_id, prefix, destination, connect_fee, first_price, next_price, first_s, next_s,
    minimum, free_s, grace_s, blocked, valid_from, valid_till
"""
_MATCHING = f"SELECT {_COLUMNS} FROM config.rate WHERE deck_id = $1 AND prefix = ANY($2::text[])"  # noqa: S608


class PostgresDecks:
    """Pages through decks, and finds what may price a number."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rates(
        self,
        deck_id: str,
        *,
        after: tuple[str, int] | None,
        limit: int,
        filters: RateFilter,
    ) -> list[Record]:
        """See :meth:`services.api.ports.Decks.rates`."""
        args: list[object] = [deck_id, limit]
        conditions = ["deck_id = $1"]

        def add(condition: str, *values: object) -> None:
            holes = [f"${len(args) + number}" for number in range(1, len(values) + 1)]
            args.extend(values)
            conditions.append(condition.format(*holes))

        if after is not None:
            add("(prefix, id) > ({0}, {1})", *after)
        if filters.starts_with:
            add("starts_with(prefix, {0})", filters.starts_with)
        if filters.number:
            add("prefix = ANY({0}::text[])", prefixes_of(filters.number))
        if filters.destination:
            add("strpos(lower(destination), lower({0})) > 0", filters.destination)
        if filters.at is not None:
            add("valid_from <= {0} AND valid_till > {0}", filters.at)
        query = f"""
            SELECT {_COLUMNS.replace("deck_id", "deck_id AS rate_deck_id")} FROM config.rate
             WHERE {" AND ".join(conditions)} ORDER BY prefix, id LIMIT $2
        """  # noqa: S608 - conditions are constants
        return [as_record(row) for row in await self._database.fetch(query, *args)]

    async def matching(self, deck_id: str, prefixes: Sequence[str]) -> list[Rate]:
        """See :meth:`services.api.ports.Decks.matching`."""
        rows = await self._database.fetch(_MATCHING, deck_id, list(prefixes))
        return [_rate(as_record(row)) for row in rows]


def _rate(row: Record) -> Rate:
    return Rate(**row)  # type: ignore[arg-type]  # the columns have the types of the fields
