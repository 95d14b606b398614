"""Routes of the rates in a deck, and of imports into it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.api.app.tariffs import ImportOrder, SheetFailed
from services.api.core.cells import DateOrder
from services.api.core.cursor import decode_cursor
from services.api.core.rate_sheet import Mode, RowError
from services.api.core.rates import ImportResult, OnError
from services.api.core.tariff import digits_of
from services.api.entrypoints.http import schemas
from services.api.entrypoints.http.dependencies import (
    DEFAULT_LIMIT,
    After,
    Cases,
    Limit,
    Who,
    need,
    page,
    shown,
)
from services.api.entrypoints.http.documents import Page, given, sheet_rate
from services.api.entrypoints.http.fields import Instant
from services.api.entrypoints.http.problem import ProblemDetails
from services.api.ports import RateFilter
from services.common.errors import Invalid

READS = [need("rate_decks:read")]
WRITES = [need("rate_decks:write")]


def router() -> APIRouter:
    """Reading and writing single rates."""
    routes = APIRouter(prefix="/rate_decks/{deck_id}/rates", tags=["rates"])

    @routes.get("", response_model=Page, dependencies=READS)
    async def list_rates(
        request: Request,
        deck_id: str,
        cases: Cases,
        limit: Limit = DEFAULT_LIMIT,
        after: After = "",
        prefix: Annotated[str, Query(pattern=r"^\d{0,18}$")] = "",
        number: Annotated[str, Query(max_length=64)] = "",
        destination: Annotated[str, Query(max_length=200)] = "",
        at: Instant | None = None,
    ) -> Response:
        """Rows by prefix: those that begin with ``prefix``, match ``number``, are valid ``at``."""
        filters = RateFilter(prefix, _digits(number), destination, at)
        rows = await cases.tariffs.page(
            deck_id, after=_position(after), limit=limit + 1, filters=filters
        )
        return page(request, rows, limit, lambda row: [str(row["prefix"]), str(row["id"])])

    @routes.post("", status_code=201, response_model=schemas.Rate, dependencies=WRITES)
    async def create_rate(
        deck_id: str, body: schemas.RateCreate, cases: Cases, who: Who
    ) -> Response:
        """Add a row; the row of this code that is valid until then ends where it begins."""
        return shown(await cases.tariffs.add(deck_id, sheet_rate(body, 1), who), 201)

    @routes.get("/{rate_id}", response_model=schemas.Rate, dependencies=READS)
    async def get_rate(deck_id: str, rate_id: int, cases: Cases) -> Response:
        """One row."""
        return shown(await cases.tariffs.get(deck_id, _sane(rate_id)))

    @routes.patch("/{rate_id}", response_model=schemas.Rate, dependencies=WRITES)
    async def update_rate(
        deck_id: str, rate_id: int, body: schemas.RatePatch, cases: Cases, who: Who
    ) -> Response:
        """Correct a row in place."""
        return shown(await cases.tariffs.patch(deck_id, _sane(rate_id), given(body), who))

    @routes.post("/{rate_id}/end", response_model=schemas.Rate, dependencies=WRITES)
    async def end_rate(
        deck_id: str, rate_id: int, cases: Cases, who: Who, body: schemas.RateEnd | None = None
    ) -> Response:
        """Let a row end: its code is closed from then on, shorter codes do not stand in."""
        at = body.at if body is not None else None
        return shown(await cases.tariffs.end(deck_id, _sane(rate_id), at, who))

    @routes.delete("/{rate_id}", status_code=204, dependencies=WRITES)
    async def delete_rate(deck_id: str, rate_id: int, cases: Cases, who: Who) -> None:
        """Remove a row as if it had never been: shorter codes stand in again."""
        await cases.tariffs.remove(deck_id, _sane(rate_id), who)

    return routes


def import_router() -> APIRouter:
    """Rate sheets."""
    routes = APIRouter(tags=["rates"])

    @routes.post(
        "/rate_decks/{deck_id}/imports",
        dependencies=WRITES,
        openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {}}}},
    )
    async def import_rates(
        request: Request,
        deck_id: str,
        cases: Cases,
        who: Who,
        mode: Mode = Mode.PARTIAL,
        on_error: OnError = OnError.ABORT,
        dates: DateOrder = DateOrder.YMD,
        *,
        dry_run: bool = False,
        decimal_comma: bool = False,
    ) -> Response:
        """Import a CSV of any length, sent as the body, in one transaction.

        Columns are known by many names (Code, Prefix, Dial code; Rate, Price; Min, Increment,
        or 30/6; Effective date; Status ...). `full`: codes that are not listed end. `partial`:
        they stay. `delete`: the listed codes end. `abort`: one bad row and nothing is imported.
        """
        order = ImportOrder(mode, on_error, dry_run, dates, decimal_comma)
        try:
            result = await cases.tariffs.import_sheet(deck_id, request.stream(), order, who)
        except SheetFailed as failed:
            count = failed.result.error_count
            return ProblemDetails(
                "import_failed",
                f"{count} of {failed.result.rows} rows are not acceptable",
                [_row_error(one) for one in failed.result.errors],
                _summary(failed.result),
            ).response()
        errors = [_row_error(one) for one in result.errors]
        return shown({"rate_deck_id": deck_id, **_summary(result), "errors": errors})

    return routes


def _summary(result: ImportResult) -> dict[str, object]:
    merged = result.merged
    return {
        "mode": result.mode.value,
        "applied": result.applied,
        "rows": result.rows,
        "added": merged.added,
        "changed": merged.changed,
        "unchanged": merged.unchanged,
        "ended": merged.ended,
        "error_count": result.error_count,
        "ignored_columns": list(result.ignored_columns),
        "version": result.version,
    }


def _row_error(error: RowError) -> dict[str, object]:
    return {"row": error.row, "column": error.column, "reason": error.reason, "code": "bad_row"}


def _digits(number: str) -> str:
    if not number:
        return ""
    try:
        return digits_of(number)
    except ValueError as error:
        raise Invalid("number", str(error)) from error


def _position(after: str) -> tuple[str, int] | None:
    if not after:
        return None
    prefix, identity = decode_cursor(after, size=2)
    if not identity.isdigit() or len(identity) > 18:
        raise Invalid("after", "is not a cursor of this list")
    return prefix, int(identity)


def _sane(rate_id: int) -> int:
    if not 0 < rate_id < 2**63:
        raise Invalid("rate_id", "is no id of a rate")
    return rate_id
