"""Call detail records in ClickHouse. Implements :class:`services.api.ports.Records`."""

import asyncio
import datetime as dt
import queue
from collections.abc import Mapping, Sequence
from typing import Protocol

from clickhouse_driver import Client
from clickhouse_driver import errors as clickhouse

from services.api.core.export import COLUMNS
from services.api.core.problems import NotFound
from services.api.core.records import Record
from services.api.ports import CdrFilter
from services.common.errors import Unavailable

WHAT = "record database"

_AWAY = (OSError, EOFError, clickhouse.NetworkError, clickhouse.SocketTimeoutError)
# Codes with which a healthy server says that it cannot, now: too slow, too many, out of memory.
_OVERLOADED = frozenset({159, 160, 202, 241, 252, 439})
_TIMEOUT_S = 30.0

DETAIL = ("attempts", "media_caller", "media_callee", "explanation")
"""JSON columns shown with a single record."""


class _Connection(Protocol):
    def execute(
        self, query: str, params: Mapping[str, object], *, with_column_types: bool
    ) -> tuple[list[Sequence[object]], list[tuple[str, str]]]: ...

    def disconnect(self) -> None: ...


class ClickHouseRecords:
    """Blocking driver, run in threads; a few connections, each used by one query at a time."""

    def __init__(self, dsn: str, *, connections: int = 4) -> None:
        self._idle: queue.SimpleQueue[_Connection] = queue.SimpleQueue()
        self._slots = asyncio.Semaphore(connections)
        options = f"connect_timeout=5&send_receive_timeout={_TIMEOUT_S:.0f}"
        self._dsn = f"{dsn}{'&' if '?' in dsn else '?'}{options}"

    async def page(
        self, chosen: CdrFilter, *, before: tuple[str, str] | None, limit: int
    ) -> list[Record]:
        """See :meth:`services.api.ports.Records.page`."""
        conditions, params = _where(chosen)
        if before is not None:
            conditions.append(
                "(invited_at, call_id) < (toDateTime64(%(before_at)s, 3, 'UTC'), %(before_id)s)"
            )
            params |= {"before_at": _seconds(before[0]), "before_id": before[1]}
        query = f"""
            SELECT {", ".join(COLUMNS)} FROM cdr FINAL
             WHERE {" AND ".join(conditions) or "1"}
             ORDER BY invited_at DESC, call_id DESC LIMIT %(limit)s
        """  # noqa: S608 - conditions are constants
        return await self._query(query, params | {"limit": limit})

    async def totals(self, chosen: CdrFilter) -> list[Record]:
        """See :meth:`services.api.ports.Records.totals`."""
        conditions, params = _where(chosen)
        query = f"""
            SELECT end_reason, sum(call_count) AS calls, sum(talk_ms) AS talk_ms
              FROM cdr FINAL WHERE {" AND ".join(conditions) or "1"}
             GROUP BY end_reason ORDER BY calls DESC, end_reason
        """  # noqa: S608 - conditions are constants
        return await self._query(query, params)

    async def get(self, call_id: str) -> Record:
        """See :meth:`services.api.ports.Records.get`."""
        columns = ", ".join(COLUMNS + DETAIL)
        # The id tells when it was made; the index then finds the record without reading a month.
        near = _made_at(call_id)
        params: dict[str, object] = {"call_id": call_id}
        conditions = [
            *([_within(near, params)] if near is not None else []),
            "1",
        ]
        for condition in conditions:
            query = (
                f"SELECT {columns} FROM cdr FINAL"  # noqa: S608 - constants
                f" WHERE {condition} AND call_id = %(call_id)s LIMIT 1"
            )
            if rows := await self._query(query, params):
                return rows[0]
        raise NotFound("cdr", call_id)

    async def ping(self) -> None:
        """Return when the server answers. Raises: Unavailable."""
        await self._query("SELECT 1 AS one", {})

    def close(self) -> None:
        """Drop the idle connections."""
        while not self._idle.empty():
            self._idle.get_nowait().disconnect()

    async def _query(self, query: str, params: Mapping[str, object]) -> list[Record]:
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._slots:
                return await asyncio.to_thread(self._run, query, params)
        except _AWAY as error:
            raise Unavailable(WHAT) from error
        except clickhouse.ServerException as error:
            if error.code not in _OVERLOADED:
                raise
            raise Unavailable(WHAT) from error

    def _run(self, query: str, params: Mapping[str, object]) -> list[Record]:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = Client.from_url(self._dsn)
        try:
            rows, columns = connection.execute(query, params, with_column_types=True)
        except clickhouse.ServerException:
            self._idle.put(connection)
            raise
        except BaseException:
            connection.disconnect()
            raise
        self._idle.put(connection)
        names = [name for name, _ in columns]
        return [dict(zip(names, row, strict=True)) for row in rows]


def _begins(number: str) -> str:
    """A call refused before routing has only its number as received, a leading + included."""
    received = f"replaceRegexpOne({number}, '^(\\\\+|00)', '')"
    return f"startsWith(if({number}_billed = '', {received}, {number}_billed), %({number})s)"


def _where(chosen: CdrFilter) -> tuple[list[str], dict[str, object]]:
    conditions: list[str] = []
    params: dict[str, object] = {}
    tests: tuple[tuple[str, object, str], ...] = (
        ("since", _text(chosen.since), "invited_at >= toDateTime64(%(since)s, 3, 'UTC')"),
        ("till", _text(chosen.till), "invited_at < toDateTime64(%(till)s, 3, 'UTC')"),
        ("account", chosen.account_id,
         "(customer_account_id = %(account)s OR vendor_account_id = %(account)s)"),
        ("customer_trunk", chosen.customer_trunk_id, "customer_trunk_id = %(customer_trunk)s"),
        ("vendor_trunk", chosen.vendor_trunk_id, "vendor_trunk_id = %(vendor_trunk)s"),
        ("caller", chosen.caller_prefix, _begins("caller")),
        ("called", chosen.called_prefix, _begins("called")),
        ("end_reason", chosen.end_reason, "end_reason = %(end_reason)s"),
    )  # fmt: skip
    for name, value, condition in tests:
        if value:
            conditions.append(condition)
            params[name] = value
    if chosen.answered is not None:
        conditions.append("answered_at IS NOT NULL" if chosen.answered else "answered_at IS NULL")
    return conditions, params


def _text(instant: dt.datetime | None) -> str:
    return "" if instant is None else _seconds(instant.isoformat())


def _seconds(instant: str) -> str:
    """An instant as ClickHouse reads it: UTC, milliseconds, no zone."""
    at = dt.datetime.fromisoformat(instant).astimezone(dt.UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}"


def _made_at(call_id: str) -> dt.datetime | None:
    digits = call_id.partition("_")[2]
    try:
        # RFC 9562 section 5.7: the first 48 bits are milliseconds since 1970.
        return dt.datetime.fromtimestamp(int(digits[:12], 16) / 1000, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _within(at: dt.datetime, params: dict[str, object]) -> str:
    hour = dt.timedelta(hours=1)
    params |= {"from": _text(at - hour), "to": _text(at + hour)}
    return "invited_at BETWEEN toDateTime64(%(from)s, 3, 'UTC') AND toDateTime64(%(to)s, 3, 'UTC')"
