"""Routes of webhooks, settings, the audit log, whole switches and health."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.api.app.applying import Applied
from services.api.app.tariffs import ImportOrder, sheet_rates
from services.api.core.apply import Entry
from services.api.core.cursor import decode_cursor
from services.api.core.keys import Caller, allows
from services.api.core.kinds import Kind
from services.api.core.problems import Forbidden, Problem, Rejected
from services.api.core.rate_sheet import Mode, SheetRate
from services.api.core.records import Record
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
from services.api.entrypoints.http.documents import (
    ApplyDocument,
    ApplyRateDeck,
    Page,
    everything,
    sheet_rate,
)
from services.api.entrypoints.http.fields import Shape

Text = Annotated[str, Query(max_length=100)]


def settings_router() -> APIRouter:
    """Named settings of the whole switch."""
    routes = APIRouter(prefix="/settings", tags=["settings"])
    writes = [need("settings:write")]

    @routes.get("", response_model=Page, dependencies=[need("settings:read")])
    async def list_settings(
        request: Request, cases: Cases, limit: Limit = DEFAULT_LIMIT, after: After = ""
    ) -> Response:
        """Every setting, set or not: its value, its default, what it means and may be."""
        start = decode_cursor(after, size=1)[0] if after else ""
        rows = [row for row in await cases.objects.settings() if str(row["name"]) > start]
        return page(request, rows[: limit + 1], limit, lambda row: [str(row["name"])])

    @routes.get("/{name}", response_model=schemas.Setting, dependencies=[need("settings:read")])
    async def get_setting(name: str, cases: Cases) -> Response:
        """One setting; its default while it is not set."""
        return shown(await cases.objects.setting(name))

    @routes.put("/{name}", response_model=schemas.Setting, dependencies=writes)
    async def put_setting(
        name: str, body: schemas.SettingValue, cases: Cases, who: Who
    ) -> Response:
        """Set one. A name that is no setting and a value it cannot have are refused."""
        return shown(await cases.objects.put_setting(name, body.value, who))

    @routes.delete("/{name}", status_code=204, dependencies=writes)
    async def delete_setting(name: str, cases: Cases, who: Who) -> None:
        """Back to the default."""
        await cases.objects.reset_setting(name, who)

    return routes


def audit_router() -> APIRouter:
    """Who did what."""
    routes = APIRouter(tags=["audit_events"])

    @routes.get("/audit_events", response_model=Page, dependencies=[need("audit_events:read")])
    async def list_audit_events(
        request: Request,
        cases: Cases,
        limit: Limit = DEFAULT_LIMIT,
        after: After = "",
        actor: Text = "",
        object_type: Text = "",
        object_id: Text = "",
    ) -> Response:
        """Every write, newest first, with what was before and after."""
        asked = {"actor": actor, "object_type": object_type, "object_id": object_id}
        start = decode_cursor(after, size=1)[0] if after else ""
        rows = await cases.objects.audit_page(before=start, limit=limit + 1, filters=asked)
        return page(request, rows, limit, lambda row: [str(row["id"])])

    return routes


def apply_router() -> APIRouter:
    """A whole switch from one document."""
    routes = APIRouter(tags=["apply"])

    @routes.post("/apply")
    async def apply_document(
        body: ApplyDocument, cases: Cases, who: Who, *, dry_run: bool = False
    ) -> Response:
        """Make the switch as described; what is not described stays as it is.

        Needs the write scope of every section used. References are by name. Fields left out keep
        their value, or get their default in a new object. Nothing is written if anything is wrong.
        """
        entries = await _entries(body)
        _may_write(entries, who)
        applied = await cases.applying.apply(entries, who, dry_run=dry_run)
        counts = {
            action: sum(one.action == action for one in applied)
            for action in ("created", "changed", "unchanged")
        }
        objects = [_applied(one) for one in applied]
        return shown({"dry_run": dry_run, **counts, "objects": objects})

    return routes


_PLURALS = {
    Kind.ACCOUNT: "accounts",
    Kind.RATE_DECK: "rate_decks",
    Kind.VENDOR_TRUNK: "vendor_trunks",
    Kind.CUSTOMER_TRUNK: "customer_trunks",
    Kind.USER: "users",
    Kind.WEBHOOK: "webhooks",
    Kind.SETTING: "settings",
}


def _may_write(entries: list[Entry], who: Caller) -> None:
    for kind in {entry.kind for entry in entries}:
        scope = f"{_PLURALS[kind]}:write"
        if not allows(who.scopes, scope):
            raise Forbidden(scope)


async def _entries(body: ApplyDocument) -> list[Entry]:
    problems: list[Problem] = []
    entries = body.setting_entries()
    for where, kind, shape in body.shapes():
        rates: list[SheetRate] | None = None
        if isinstance(shape, ApplyRateDeck):
            rates = await _rates(where, shape, problems)
        entries.append(Entry(where, kind, _own(shape), _named(shape), rates))
    if problems:
        raise Rejected(problems[:1000])
    return entries


_RATES = frozenset({"rates", "rates_csv"})


def _own(shape: Shape) -> Record:
    return {name: value for name, value in everything(shape).items() if name not in _RATES}


def _named(shape: Shape) -> frozenset[str]:
    # A secret left out is made when the webhook is, and then left alone.
    blank = {name for name in ("secret",) if getattr(shape, name, "") is None}
    return frozenset(shape.model_fields_set - _RATES - blank)


async def _rates(
    where: str, deck: ApplyRateDeck, problems: list[Problem]
) -> list[SheetRate] | None:
    if deck.rates is not None:
        return [sheet_rate(rate, row) for row, rate in enumerate(deck.rates)]
    if deck.rates_csv is None:
        return None
    try:
        rates, errors = await sheet_rates(deck.rates_csv, ImportOrder(mode=Mode.FULL))
    except Rejected as error:
        found = [(f"{one.where}", one.reason) for one in error.problems]
        problems += [Problem(f"{where}.rates_csv.{path}", why, "bad_row") for path, why in found]
        return None
    problems += [
        Problem(f"{where}.rates_csv.rows[{one.row}].{one.column}", one.reason, "bad_row")
        for one in errors
    ]
    return rates


def _applied(one: Applied) -> Record:
    view: Record = {
        "kind": one.kind.value,
        "name": one.name,
        "id": one.id,
        "action": one.action,
        "changes": {name: {"old": it.old, "new": it.new} for name, it in one.changes.items()},
    }
    if one.rates is not None:
        view["rates"] = {
            "added": one.rates.added,
            "changed": one.rates.changed,
            "unchanged": one.rates.unchanged,
            "ended": one.rates.ended,
        }
    return view


def health_router() -> APIRouter:
    """How every part of the switch is."""
    routes = APIRouter(tags=["health"])

    @routes.get("/health", dependencies=[need("health:read")])
    async def get_health(cases: Cases) -> Response:
        """200 when everything is well, 503 otherwise; each part by name."""
        parts = await cases.health.check()
        is_well = not any(part.problem for part in parts)
        view: Record = {
            "status": "ok" if is_well else "degraded",
            "parts": {
                part.name: {"status": "down" if part.problem else "ok", "detail": part.problem}
                for part in parts
            },
        }
        return shown(view, 200 if is_well else 503)

    return routes


def probe_router() -> APIRouter:
    """What orchestrators ask; no key needed."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/livez")
    async def livez() -> Response:
        """Whether the process answers."""
        return shown({"alive": True})

    @routes.get("/readyz")
    async def readyz(cases: Cases) -> Response:
        """Whether the process can do its work."""
        conditions = cases.ready()
        is_ready = all(conditions.values())
        view: Record = {"ready": is_ready, "conditions": dict(conditions)}
        return shown(view, 200 if is_ready else 503)

    return routes
