"""Routes of live calls and of call detail records."""

import csv
import datetime as dt
import io
from collections.abc import AsyncIterator, Mapping
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from services.api.core.cursor import decode_cursor
from services.api.core.export import COLUMNS, csv_cell
from services.api.core.pcap import pcap
from services.api.core.problems import NotFound
from services.api.core.records import Record, jsonable
from services.api.entrypoints.http.dependencies import (
    DEFAULT_LIMIT,
    After,
    Cases,
    Limit,
    UseCases,
    Who,
    need,
    page,
    shown,
)
from services.api.entrypoints.http.documents import CallPage, Page
from services.api.entrypoints.http.fields import Instant
from services.api.ports import Author, CallFilter, CdrFilter, Records
from services.common.errors import Invalid

Text = Annotated[str, Query(max_length=100)]
_EXPORT_PAGE = 5000


def router() -> APIRouter:
    """Live calls."""
    routes = APIRouter(prefix="/calls", tags=["calls"])
    reads, writes = [need("calls:read")], [need("calls:write")]

    @routes.get("", response_model=CallPage, dependencies=reads)
    async def list_calls(
        request: Request,
        cases: Cases,
        limit: Limit = DEFAULT_LIMIT,
        after: After = "",
        account_id: Text = "",
        trunk_id: Text = "",
    ) -> Response:
        """Calls in progress, oldest first; ``total`` counts all of them."""
        start = decode_cursor(after, size=1)[0] if after else ""
        chosen = CallFilter(limit + 1, start, "", account_id, trunk_id)
        rows, total = await cases.calls.calls(chosen)
        return page(request, rows, limit, lambda row: [str(row["call_id"])], total=total)

    @routes.get("/{call_id}", dependencies=reads)
    async def get_call(call_id: str, cases: Cases) -> Response:
        """One call in progress."""
        rows, _ = await cases.calls.calls(CallFilter(limit=1, call_id=call_id))
        if not rows:
            raise NotFound("call", call_id)
        return shown(rows[0])

    @routes.delete("/{call_id}", status_code=204, dependencies=writes)
    async def delete_call(call_id: str, cases: Cases, who: Who) -> None:
        """Hang up."""
        await _hang_up(cases, call_id, who.actor, who.source)

    @routes.post("/{call_id}/hangup", status_code=204, dependencies=writes)
    async def hang_up_call(call_id: str, cases: Cases, who: Who) -> None:
        """Hang up."""
        await _hang_up(cases, call_id, who.actor, who.source)

    @routes.get("/{call_id}/ladder", dependencies=reads)
    async def get_ladder(call_id: str, cases: Cases) -> Response:
        """The SIP messages of a call, in progress or recently ended, oldest first."""
        steps = await cases.calls.ladder(call_id)
        if not steps:
            raise NotFound("ladder", call_id)
        return shown({"call_id": call_id, "steps": steps})

    @routes.get("/{call_id}/ladder.pcap", dependencies=reads)
    async def get_capture(call_id: str, cases: Cases) -> Response:
        """The same as a packet capture, for Wireshark and its like."""
        packets = await cases.calls.packets(call_id)
        if not packets:
            raise NotFound("ladder", call_id)
        return Response(
            pcap(packets),
            media_type="application/vnd.tcpdump.pcap",
            headers={"Content-Disposition": f'attachment; filename="{call_id}.pcap"'},
        )

    return routes


def registration_router() -> APIRouter:
    """Who is registered."""
    routes = APIRouter(tags=["registrations"])

    @routes.get("/registrations", response_model=Page, dependencies=[need("registrations:read")])
    async def list_registrations(
        request: Request,
        cases: Cases,
        limit: Limit = DEFAULT_LIMIT,
        after: After = "",
        direction: Annotated[str, Query(pattern="^(in|out)?$")] = "",
        username: Text = "",
        trunk_id: Text = "",
    ) -> Response:
        """Contacts of customers (``in``) and our accounts at vendors (``out``), by username."""
        start = tuple(decode_cursor(after, size=4)) if after else ()
        rows = [
            row
            for row in await cases.calls.registrations()
            if direction in ("", row["direction"])
            and username in ("", row["username"])
            and trunk_id in ("", row["customer_trunk_id"], row["vendor_trunk_id"])
            and tuple(_registration_key(row)) > start
        ]
        return page(request, rows[: limit + 1], limit, _registration_key)

    return routes


def vendor_router() -> APIRouter:
    """Vendor trunks as signaling sees them now."""
    routes = APIRouter(prefix="/vendor_states", tags=["vendor_states"])

    @routes.get("", dependencies=[need("vendor_trunks:read")])
    async def list_vendor_states(cases: Cases) -> Response:
        """Which vendors can be called, since when, and why not; once per signaling process."""
        return shown({"data": await cases.calls.vendors()})

    return routes


def _registration_key(row: Mapping[str, object]) -> list[str]:
    return [str(row[name]) for name in ("direction", "username", "contact", "node")]


async def _hang_up(cases: UseCases, call_id: str, actor: str, source: str) -> None:
    if not await cases.calls.hang_up(call_id):
        raise NotFound("call", call_id)
    await cases.objects.note(Author(actor, source), "hang_up", "call", call_id)


def cdr_filter(
    since: Instant | None = None,
    till: Instant | None = None,
    account_id: Text = "",
    customer_trunk_id: Text = "",
    vendor_trunk_id: Text = "",
    caller: Annotated[str, Query(pattern=r"^\d{0,32}$")] = "",
    called: Annotated[str, Query(pattern=r"^\d{0,32}$")] = "",
    end_reason: Text = "",
    *,
    answered: bool | None = None,
) -> CdrFilter:
    """Which records: ``since`` and ``till`` on the INVITE, number prefixes, and so on."""
    return CdrFilter(
        since,
        till,
        account_id,
        customer_trunk_id,
        vendor_trunk_id,
        caller,
        called,
        end_reason,
        answered,
    )


Chosen = Annotated[CdrFilter, Depends(cdr_filter)]


def record_router() -> APIRouter:
    """Call detail records."""
    routes = APIRouter(tags=["cdrs"])
    reads = [need("cdrs:read")]

    @routes.get("/cdrs", response_model=Page, dependencies=reads)
    async def list_cdrs(
        request: Request,
        cases: Cases,
        chosen: Chosen,
        limit: Limit = DEFAULT_LIMIT,
        after: After = "",
    ) -> Response:
        """Records, newest first."""
        rows = await cases.records.page(chosen, before=_position(after), limit=limit + 1)
        return page(request, rows, limit, lambda row: list(_key(row)))

    @routes.get("/cdrs.csv", dependencies=reads, response_class=StreamingResponse)
    async def export_cdrs(
        cases: Cases,
        chosen: Chosen,
        columns: Annotated[str, Query(max_length=2000)] = "",
    ) -> Response:
        """Every record that matches, newest first, as CSV; ``columns`` separated by commas."""
        names = [name.strip() for name in columns.split(",")] if columns else list(COLUMNS)
        for name in names:
            if name not in COLUMNS:
                raise Invalid("columns", f"{name!r} is no column")
        first = await cases.records.page(chosen, before=None, limit=_EXPORT_PAGE)
        lines = _csv(cases.records, chosen, names, first)
        disposition = {"content-disposition": 'attachment; filename="cdrs.csv"'}
        return StreamingResponse(lines, media_type="text/csv", headers=disposition)

    @routes.get("/cdr_totals", dependencies=reads)
    async def get_totals(cases: Cases, chosen: Chosen) -> Response:
        """How many calls and how much talk; calls that were summed in one record count as many."""
        rows = await cases.records.totals(chosen)
        calls, talk_ms = (sum(int(str(row[name])) for row in rows) for name in _SUMMED)
        return shown({"calls": calls, "talk_ms": talk_ms, "by_end_reason": rows})

    @routes.get("/cdrs/{call_id}", dependencies=reads)
    async def get_cdr(call_id: str, cases: Cases) -> Response:
        """One record, with every attempt, the media statistics and the routing explanation."""
        record = await cases.records.get(call_id)
        return shown(record | {name: _json(record[name]) for name in _JSON_COLUMNS})

    return routes


_SUMMED = ("calls", "talk_ms")
_JSON_COLUMNS = ("attempts", "media_caller", "media_callee", "explanation")


def _json(text: object) -> object:
    return msgspec.json.decode(str(text)) if text else None


def _key(row: Record) -> tuple[str, str]:
    return str(jsonable(row["invited_at"])), str(row["call_id"])


def _position(after: str) -> tuple[str, str] | None:
    if not after:
        return None
    at, call_id = decode_cursor(after, size=2)
    try:
        dt.datetime.fromisoformat(at)
    except ValueError:
        raise Invalid("after", "is not a cursor of this list") from None
    return at, call_id


async def _csv(
    records: Records, chosen: CdrFilter, names: list[str], rows: list[Record]
) -> AsyncIterator[str]:
    yield ",".join(names) + "\r\n"
    while rows:
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerows([csv_cell(row[name]) for name in names] for row in rows)
        yield buffer.getvalue()
        if len(rows) < _EXPORT_PAGE:
            return
        rows = await records.page(chosen, before=_key(rows[-1]), limit=_EXPORT_PAGE)
