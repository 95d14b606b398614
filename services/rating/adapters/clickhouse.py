"""Call detail records in ClickHouse. Implements :class:`services.rating.ports.Records`."""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import msgspec
from clickhouse_driver import Client
from clickhouse_driver import errors as clickhouse_errors

from services.common.errors import Unavailable
from services.common.events import Attempt, CallEnded, CdrRated, Charge, StreamStats

_WHAT = "record database"

_json = msgspec.json.Encoder().encode

_NO_CHARGE = Charge(
    account_id="",
    currency="",
    amount=Decimal(0),
    billed_s=0,
    rate_id=0,
    deck_id="",
    prefix="",
    price=Decimal(0),
)


def _last_attempt(call: CallEnded) -> Attempt | None:
    answered = call.answered_attempt
    if answered is not None and 0 <= answered < len(call.attempts):
        return call.attempts[answered]
    return call.attempts[-1] if call.attempts else None


def _vendor(rated: CdrRated, field: str) -> str:
    """A field of the answered attempt, or of the last one tried."""
    attempt = _last_attempt(rated.call)
    return "" if attempt is None else str(getattr(attempt, field))


def _customer_account(rated: CdrRated) -> str:
    return rated.customer.account_id if rated.customer else rated.call.account_id


def _stats(stats: StreamStats | None) -> str:
    return "" if stats is None else _json(stats).decode()


def _explanation(rated: CdrRated) -> str:
    raw = bytes(rated.call.explanation)
    return "" if raw == b"null" else raw.decode()


def _sold(rated: CdrRated) -> Charge:
    return rated.customer or _NO_CHARGE


def _bought(rated: CdrRated) -> Charge:
    return rated.vendor or _NO_CHARGE


def _clipped(value: int | None, most: int) -> int:
    """A number as it fits its column: a wild one in one record must not stop all others."""
    return max(0, min(value or 0, most))


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)


def _ms(instant: dt.datetime) -> int:
    """What DateTime64(3) holds: the driver takes it as it is, and converts a datetime slowly."""
    return (instant - _EPOCH) // _MILLISECOND


_U8, _U16, _U32, _U64 = 2**8 - 1, 2**16 - 1, 2**32 - 1, 2**64 - 1

# The one place that says what goes into which column.
COLUMNS: dict[str, Callable[[CdrRated], object]] = {
    "call_id": lambda r: r.call.call_id,
    "version": lambda r: _ms(r.rated_at),
    "node": lambda r: r.call.node,
    "invited_at": lambda r: _ms(r.call.invited_at),
    "ringing_at": lambda r: r.call.ringing_at and _ms(r.call.ringing_at),
    "answered_at": lambda r: r.call.answered_at and _ms(r.call.answered_at),
    "ended_at": lambda r: _ms(r.call.ended_at),
    "rated_at": lambda r: _ms(r.rated_at),
    "talk_ms": lambda r: _clipped(r.call.talk_ms, _U64),
    "pdd_ms": lambda r: None if r.call.pdd_ms is None else _clipped(r.call.pdd_ms, _U32),
    "customer_trunk_id": lambda r: r.call.customer_trunk_id,
    "customer_account_id": _customer_account,
    "source": lambda r: r.call.source,
    "sip_call_id": lambda r: r.call.sip_call_id,
    "caller": lambda r: r.call.caller,
    "called": lambda r: r.call.called,
    "caller_billed": lambda r: r.call.caller_billed,
    "called_billed": lambda r: r.call.called_billed,
    "vendor_trunk_id": lambda r: _vendor(r, "vendor_trunk_id"),
    "vendor_account_id": lambda r: _vendor(r, "account_id"),
    "vendor_caller": lambda r: _vendor(r, "caller"),
    "vendor_called": lambda r: _vendor(r, "called"),
    "attempt_count": lambda r: _clipped(len(r.call.attempts), _U16),
    "attempts": lambda r: _json(r.call.attempts).decode(),
    "end_side": lambda r: r.call.end_side,
    "end_reason": lambda r: r.call.end_reason,
    "cause_source": lambda r: r.call.cause_source,
    "sip_code_in": lambda r: _clipped(r.call.sip_code_in, _U16),
    "sip_code_out": lambda r: _clipped(r.call.sip_code_out, _U16),
    "q850_in": lambda r: _clipped(r.call.q850_in, _U8),
    "q850_out": lambda r: _clipped(r.call.q850_out, _U8),
    "reason_header": lambda r: r.call.reason_header,
    "customer_currency": lambda r: _sold(r).currency,
    "price": lambda r: _sold(r).amount,
    "customer_billed_s": lambda r: _clipped(_sold(r).billed_s, _U32),
    "customer_rate_id": lambda r: _clipped(_sold(r).rate_id, _U64),
    "customer_deck_id": lambda r: _sold(r).deck_id,
    "customer_prefix": lambda r: _sold(r).prefix,
    "customer_rate": lambda r: _sold(r).price,
    "vendor_currency": lambda r: _bought(r).currency,
    "cost": lambda r: _bought(r).amount,
    "vendor_billed_s": lambda r: _clipped(_bought(r).billed_s, _U32),
    "vendor_rate_id": lambda r: _clipped(_bought(r).rate_id, _U64),
    "vendor_deck_id": lambda r: _bought(r).deck_id,
    "vendor_prefix": lambda r: _bought(r).prefix,
    "vendor_rate": lambda r: _bought(r).price,
    "media_caller": lambda r: _stats(r.call.media_caller),
    "media_callee": lambda r: _stats(r.call.media_callee),
    "explanation": _explanation,
    "call_count": lambda r: _clipped(r.call.count, _U64),
}

_INSERT = f"INSERT INTO cdr ({', '.join(COLUMNS)}) VALUES"

_AWAY = (OSError, EOFError, clickhouse_errors.Error)
# A server's refusal is the server's state (read-only, disk full, starting), and half an answer
# that of one that dies: asking again later is the one answer that loses nothing. What we send
# cannot be at fault: every value is fitted.


class ClickHouseRecords:
    """Writes records from a thread of its own: the driver blocks.

    Raises:
        Unavailable: from every call of :meth:`write` while the server is away or refuses.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clickhouse")
        self._client: Client | None = None
        self.written = 0
        self.is_up = False

    async def write(self, records: Sequence[CdrRated]) -> None:
        """See :meth:`services.rating.ports.Records.write`."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._write, records)
        except _AWAY as error:
            self.is_up = False
            raise Unavailable(_WHAT) from error
        self.is_up = True
        self.written += len(records)

    def _write(self, records: Sequence[CdrRated]) -> None:
        columns: list[Sequence[Any]] = [
            [value(record) for record in records] for value in COLUMNS.values()
        ]
        if self._client is None:
            self._client = Client.from_url(self._dsn)
            for name in ("connect_timeout", "send_receive_timeout", "sync_request_timeout"):
                setattr(self._client.connection, name, _TIMEOUT_S)
        try:
            self._client.execute(_INSERT, columns, columnar=True)
        except _AWAY:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client = None

    async def close(self) -> None:
        """Let go of the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()


_TIMEOUT_S = 20
