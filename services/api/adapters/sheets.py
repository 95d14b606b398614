"""Rate sheets into decks: rows stream into a temporary table, then meet the deck set by set.

Nothing here grows with the sheet on our side. A row whose date has passed counts from the
instant of the import, so that history is never rewritten and a sheet sent twice changes nothing.
"""

import datetime as dt
from collections.abc import AsyncIterable, AsyncIterator

from services.api.core.rate_sheet import Mode, RowError, SheetRate
from services.api.core.rates import MOST_ERRORS, Merged
from services.common.postgres import Connection

_CREATE = """
    CREATE TEMP TABLE sheet (
        row_no integer, prefix text, destination text, connect_fee numeric(18, 10),
        first_price numeric(18, 10), next_price numeric(18, 10), first_s integer, next_s integer,
        minimum numeric(18, 10), free_s integer, grace_s integer, blocked boolean,
        valid_from timestamptz, valid_till timestamptz, starts timestamptz
    ) ON COMMIT DROP
"""
_COLUMNS = (
    "row_no", "prefix", "destination", "connect_fee", "first_price", "next_price", "first_s",
    "next_s", "minimum", "free_s", "grace_s", "blocked", "valid_from", "valid_till", "starts",
)  # fmt: skip

_CHUNK_CHARACTERS = 64 * 1024

# A second row for the same code and instant, and a row that was over before it began.
_REFUSE = """
    WITH numbered AS (
        SELECT ctid AS place,
               first_value(row_no) OVER (PARTITION BY prefix, valid_from ORDER BY row_no) AS first
          FROM sheet
    ), gone AS (
        DELETE FROM sheet s USING numbered n
         WHERE s.ctid = n.place AND (s.row_no <> n.first OR s.valid_till <= s.starts)
     RETURNING s.row_no, CASE WHEN s.row_no <> n.first THEN n.first END AS first
    )
    SELECT row_no, first, count(*) OVER () AS total FROM gone ORDER BY row_no LIMIT $1
"""

# Of several dates that have passed, only the latest still says anything.
_SUPERSEDE = """
    DELETE FROM sheet s USING sheet later
     WHERE later.prefix = s.prefix AND later.starts = s.starts AND later.ctid <> s.ctid
       AND (coalesce(later.valid_from, '-infinity'), later.row_no)
         > (coalesce(s.valid_from, '-infinity'), s.row_no)
"""

_SAME = """
    (r.destination, r.connect_fee, r.first_price, r.next_price, r.first_s, r.next_s, r.minimum,
     r.free_s, r.grace_s, r.blocked)
  = (s.destination, s.connect_fee, s.first_price, s.next_price, s.first_s, s.next_s, s.minimum,
     s.free_s, s.grace_s, s.blocked)
"""

# What becomes of each row: c is the row it meets, n the next row already scheduled.
_PLAN = f"""
    CREATE TEMP TABLE plan ON COMMIT DROP AS
    WITH dated AS (
        SELECT s.*, least(coalesce(s.valid_till, 'infinity'),
                          lead(s.starts) OVER (PARTITION BY s.prefix ORDER BY s.starts)) AS till
          FROM sheet s
    ), met AS (
        SELECT s.*, c.id AS met_id, c.same, c.valid_from AS met_from, c.valid_till AS met_till,
               CASE WHEN $3 AND s.valid_till IS NULL
                    THEN least(s.till, (SELECT min(r.valid_from) FROM config.rate r
                                         WHERE r.deck_id = $1 AND r.prefix = s.prefix
                                           AND r.valid_from > s.starts))
                    ELSE s.till END AS ends,
               EXISTS (SELECT FROM config.rate r
                        WHERE r.deck_id = $1 AND r.prefix = s.prefix) AS known
          FROM dated s
          LEFT JOIN LATERAL (
               SELECT r.id, r.valid_from, r.valid_till, {_SAME} AS same
                 FROM config.rate r
                WHERE r.deck_id = $1 AND r.prefix = s.prefix
                  AND r.valid_from <= s.starts AND r.valid_till > s.starts
                ORDER BY r.valid_from DESC, r.id DESC LIMIT 1) c ON true
    )
    SELECT *, CASE WHEN met_id IS NOT NULL AND same AND met_till = ends THEN 'unchanged'
                   WHEN met_id IS NOT NULL AND (same OR met_from = starts) THEN 'update'
                   ELSE 'insert' END AS action,
           CASE WHEN known THEN starts
                ELSE coalesce(valid_from, CASE WHEN starts <= $2 THEN '-infinity' ELSE starts END)
                END AS since
      FROM met
"""  # noqa: S608 - _SAME is a constant

_END_EARLIER = """
    UPDATE config.rate r SET valid_till = e.starts
      FROM (SELECT r.id, min(p.starts) AS starts
              FROM plan p JOIN config.rate r ON r.deck_id = $1 AND r.prefix = p.prefix
             WHERE p.action = 'insert' AND r.valid_from < p.starts
             GROUP BY r.id) e
     WHERE r.id = e.id AND r.valid_till > e.starts
"""
_UPDATE = """
    UPDATE config.rate r
       SET destination = p.destination, connect_fee = p.connect_fee, first_price = p.first_price,
           next_price = p.next_price, first_s = p.first_s, next_s = p.next_s,
           minimum = p.minimum, free_s = p.free_s, grace_s = p.grace_s, blocked = p.blocked,
           valid_till = p.ends
      FROM plan p WHERE p.action = 'update' AND r.id = p.met_id
"""
_INSERT = """
    WITH new AS (
        INSERT INTO config.rate (deck_id, prefix, destination, connect_fee, first_price,
               next_price, first_s, next_s, minimum, free_s, grace_s, blocked, valid_from,
               valid_till)
        SELECT $1, prefix, destination, connect_fee, first_price, next_price, first_s, next_s,
               minimum, free_s, grace_s, blocked, since, ends
          FROM plan WHERE action = 'insert' ORDER BY prefix
     RETURNING id)
    INSERT INTO kept SELECT id FROM new
"""
_KEEP = """
    CREATE TEMP TABLE kept ON COMMIT DROP AS
    SELECT met_id AS id FROM plan WHERE action <> 'insert'
"""
_DROP_SCHEDULED = """
    WITH gone AS (
        DELETE FROM config.rate r
         WHERE r.deck_id = $1 AND r.valid_from >= $2 AND NOT EXISTS (
               SELECT FROM kept k WHERE k.id = r.id) RETURNING 1)
    SELECT count(*) FROM gone
"""
_END_MISSING = """
    WITH ended AS (
        UPDATE config.rate r SET valid_till = $2
         WHERE r.deck_id = $1 AND r.valid_from < $2 AND r.valid_till > $2 AND NOT EXISTS (
               SELECT FROM plan p WHERE p.prefix = r.prefix) RETURNING 1)
    SELECT count(*) FROM ended
"""
_COUNT = """
    SELECT count(*) FILTER (WHERE action = 'insert' AND met_id IS NULL) AS added,
           count(*) FILTER (WHERE action = 'update' OR met_id IS NOT NULL AND action = 'insert')
               AS changed,
           count(*) FILTER (WHERE action = 'unchanged') AS unchanged
      FROM plan
"""
_UNKNOWN_CODES = """
    WITH gone AS (
        DELETE FROM sheet s WHERE NOT EXISTS (
               SELECT FROM config.rate r
                WHERE r.deck_id = $1 AND r.prefix = s.prefix AND r.valid_till > $2)
     RETURNING s.row_no, s.prefix)
    SELECT row_no, prefix, count(*) OVER () AS total FROM gone ORDER BY row_no LIMIT $3
"""
_DELETE_SCHEDULED = """
    WITH gone AS (
        DELETE FROM config.rate r USING sheet s
         WHERE r.deck_id = $1 AND r.prefix = s.prefix AND r.valid_from >= $2 RETURNING 1)
    SELECT count(*) FROM gone
"""
_END_LISTED = """
    WITH ended AS (
        UPDATE config.rate r SET valid_till = $2 FROM sheet s
         WHERE r.deck_id = $1 AND r.prefix = s.prefix AND r.valid_from < $2 AND r.valid_till > $2
     RETURNING 1)
    SELECT count(*) FROM ended
"""


async def stage(
    connection: Connection, rates: AsyncIterable[SheetRate], at: dt.datetime, *, timeout_s: float
) -> None:
    """Copy the rows beside the decks as they arrive; dates that have passed become ``at``."""
    await connection.execute("DROP TABLE IF EXISTS pg_temp.sheet, pg_temp.plan, pg_temp.kept")
    await connection.execute(_CREATE)
    await connection.copy_to_table(
        "sheet", source=_chunks(rates, at), columns=_COLUMNS, format="text", timeout=timeout_s
    )
    await connection.execute("ANALYZE sheet", timeout=timeout_s)


async def _chunks(rates: AsyncIterable[SheetRate], at: dt.datetime) -> AsyncIterator[bytes]:
    lines: list[str] = []
    size = 0
    async for rate in rates:
        lines.append(_line(rate, at))
        size += len(lines[-1])
        if size > _CHUNK_CHARACTERS:
            yield "".join(lines).encode()
            lines.clear()
            size = 0
    yield "".join(lines).encode()


def _line(rate: SheetRate, at: dt.datetime) -> str:
    """One row in the text format of COPY; only the destination may hold anything to escape."""
    start, end = rate.valid_from, rate.valid_till
    return "\t".join((
        str(rate.row), rate.prefix, rate.destination.replace("\\", "\\\\"),
        f"{rate.connect_fee:f}", f"{rate.first_price:f}", f"{rate.next_price:f}",
        str(rate.first_s), str(rate.next_s), f"{rate.minimum:f}", str(rate.free_s),
        str(rate.grace_s), "t" if rate.blocked else "f",
        "\\N" if start is None else start.isoformat(), "\\N" if end is None else end.isoformat(),
        (at if start is None or start < at else start).isoformat() + "\n",
    ))  # fmt: skip


async def merge(
    connection: Connection, deck_id: str, mode: Mode, at: dt.datetime, *, timeout_s: float
) -> Merged:
    """Bring the staged rows into a deck."""
    refused = await connection.fetch(_REFUSE, MOST_ERRORS, timeout=timeout_s)
    total = refused[0]["total"] if refused else 0
    errors = [_refusal(row["row_no"], row["first"]) for row in refused]
    if mode is Mode.DELETE:
        missing = await connection.fetch(_UNKNOWN_CODES, deck_id, at, MOST_ERRORS)
        errors += [
            RowError(row["row_no"], "prefix", "the deck has no such code") for row in missing
        ]
        total += missing[0]["total"] if missing else 0
        dropped = await connection.fetchval(_DELETE_SCHEDULED, deck_id, at, timeout=timeout_s)
        ended = await connection.fetchval(_END_LISTED, deck_id, at, timeout=timeout_s)
        return Merged(ended=dropped + ended, errors=tuple(errors), error_count=total)
    counts = await _write(connection, deck_id, mode, at, timeout_s)
    return Merged(**counts, errors=tuple(errors), error_count=total)


async def _write(
    connection: Connection, deck_id: str, mode: Mode, at: dt.datetime, timeout_s: float
) -> dict[str, int]:
    await connection.execute(_SUPERSEDE, timeout=timeout_s)
    await connection.execute(_PLAN, deck_id, at, mode is Mode.PARTIAL, timeout=timeout_s)
    await connection.execute("CREATE INDEX ON plan (prefix); ANALYZE plan", timeout=timeout_s)
    await connection.execute(_KEEP, timeout=timeout_s)
    await connection.execute(_END_EARLIER, deck_id, timeout=timeout_s)
    await connection.execute(_UPDATE, timeout=timeout_s)
    await connection.execute(_INSERT, deck_id, timeout=timeout_s)
    counts = dict(await connection.fetchrow(_COUNT, timeout=timeout_s))
    if mode is Mode.FULL:
        await connection.execute("CREATE INDEX ON kept (id); ANALYZE kept", timeout=timeout_s)
        dropped = await connection.fetchval(_DROP_SCHEDULED, deck_id, at, timeout=timeout_s)
        ended = await connection.fetchval(_END_MISSING, deck_id, at, timeout=timeout_s)
        counts["ended"] = dropped + ended
    return counts


def _refusal(row: int, first_row: int | None) -> RowError:
    if first_row is None:
        return RowError(row, "valid_till", "ended before this import")
    return RowError(row, "prefix", f"repeats the code and date of row {first_row}")
