"""Routes of payments, the ledger, quotes and simulations."""

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from services.api.app.quotes import Quoted, Rounding
from services.api.core.cursor import decode_cursor
from services.api.core.kinds import Kind
from services.api.core.problems import NotFound
from services.api.core.records import Record
from services.api.entrypoints.http import documents
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
from services.api.entrypoints.http.documents import Page
from services.api.ports import Payment, Trial, TrialRoute
from services.common.clock import utc_now
from services.common.errors import Invalid
from services.common.money import RoundingMode
from services.common.terms import Terms


def router() -> APIRouter:
    """Payments and transfers."""
    routes = APIRouter()

    @routes.post(
        "/payments",
        status_code=201,
        response_model=documents.Payment,
        dependencies=[need("payments:write")],
        tags=["payments"],
    )
    async def create_payment(
        body: documents.PaymentCreate,
        cases: Cases,
        who: Who,
        idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
    ) -> Response:
        """Book money received (positive) or paid out (negative), or a correction."""
        asked = Payment("", body.account_id, body.amount, body.currency, body.kind, body.note, "")
        booked, paid = await cases.payments.pay(asked, who, idempotency_key)
        view: Record = {
            "id": booked.id,
            "account_id": booked.account_id,
            "amount": booked.amount,
            "currency": booked.currency,
            "kind": booked.kind,
            "note": booked.note,
            "actor": booked.actor,
            "balance": paid.balance,
            "duplicate": paid.duplicate,
        }
        return shown(view, 201)

    @routes.get(
        "/payments", response_model=Page, dependencies=[need("payments:read")], tags=["payments"]
    )
    async def list_payments(
        request: Request,
        cases: Cases,
        limit: Limit = DEFAULT_LIMIT,
        after: After = "",
        account_id: Annotated[str, Query(max_length=100)] = "",
    ) -> Response:
        """Payments and corrections, newest first."""
        rows = await cases.payments.page(
            before=_before(after), limit=limit + 1, account_id=account_id
        )
        return page(request, rows, limit, lambda row: [str(row["id"])], _payment)

    @routes.get(
        "/payments/{payment_id}",
        response_model=documents.Payment,
        dependencies=[need("payments:read")],
        tags=["payments"],
    )
    async def get_payment(payment_id: str, cases: Cases) -> Response:
        """One payment."""
        return shown(_payment(await cases.payments.get(payment_id)))

    @routes.get(
        "/accounts/{account_id}/transfers",
        response_model=Page,
        dependencies=[need("accounts:read")],
        tags=["accounts"],
    )
    async def list_transfers(
        request: Request,
        account_id: str,
        cases: Cases,
        limit: Limit = DEFAULT_LIMIT,
        after: After = "",
    ) -> Response:
        """Everything booked to or from an account, newest first."""
        await cases.objects.get(Kind.ACCOUNT, account_id)
        rows = await cases.payments.page(
            before=_before(after), limit=limit + 1, account_id=account_id, kinds=()
        )
        return page(request, rows, limit, lambda row: [str(row["id"])])

    return routes


def trial_router() -> APIRouter:
    """What would happen: quotes and simulations."""
    routes = APIRouter()

    @routes.post("/quotes", dependencies=[need("quotes:read")], tags=["quotes"])
    async def create_quote(body: documents.QuoteOrder, cases: Cases) -> Response:
        """Price durations against a deck and a number, or against a rate given inline."""
        return shown(_quoted(await _quote(body, cases)))

    @routes.post("/simulations", dependencies=[need("simulations:read")], tags=["simulations"])
    async def create_simulation(body: documents.SimulationOrder, cases: Cases) -> Response:
        """Plan a call without placing it: candidates, terms, and why."""
        trunk_id = body.customer_trunk_id or await _trunk_named(cases, body.customer_trunk or "")
        at = body.at or utc_now()
        offered = [
            TrialRoute(one.vendor_trunk, one.called, one.caller, one.max_call_s)
            for one in body.offered
        ]
        busy = tuple(body.busy_vendor_trunk_ids)
        trial = Trial(trunk_id, body.caller, body.called, at, busy, tuple(offered))
        plan = await cases.planner.plan(trial)
        return shown({"customer_trunk_id": trunk_id, "at": at, **plan})

    return routes


async def _quote(body: documents.QuoteOrder, cases: UseCases) -> Quoted:
    rounding = None
    if body.rounding is not None:
        chosen = body.rounding
        rounding = Rounding(chosen.digits, RoundingMode(chosen.mode), chosen.precision_ms)
    if body.rate is not None:
        return await cases.quotes.by_rate(
            _terms(body.rate),
            body.all_ms,
            account_id=body.account_id,
            rounding=rounding,
            tax_percent=body.tax_percent,
        )
    return await cases.quotes.by_deck(
        body.rate_deck_id or "",
        body.number or "",
        body.all_ms,
        at=body.at,
        account_id=body.account_id,
        rounding=rounding,
        tax_percent=body.tax_percent,
    )


def _terms(rate: documents.InlineRate) -> Terms:
    first = rate.first_price if rate.first_price is not None else rate.price
    following = rate.next_price if rate.next_price is not None else rate.price
    assert first is not None
    assert following is not None
    return Terms(
        account_id="",
        rate_id=0,
        deck_id="",
        prefix="",
        currency=rate.currency,
        connect_fee=rate.connect_fee,
        first_price=first,
        next_price=following,
        first_s=rate.first_s,
        next_s=rate.next_s,
        minimum=rate.minimum,
        free_s=rate.free_s,
        grace_s=rate.grace_s,
    )


def _quoted(quoted: Quoted) -> Record:
    terms, rate = quoted.terms, quoted.rate
    names = ("currency", "connect_fee", "first_price", "next_price", "first_s", "next_s",
             "minimum", "free_s", "grace_s", "digits", "precision_ms")  # fmt: skip
    shown_terms: Record = {name: getattr(terms, name) for name in names}
    matched: Record | None = None
    if rate is not None:
        matched = {
            "id": rate.id,
            "rate_deck_id": rate.deck_id,
            "prefix": rate.prefix,
            "destination": rate.destination,
            "valid_from": rate.valid_from,
            "valid_till": rate.valid_till,
        }
    return {
        "currency": terms.currency,
        "terms": shown_terms | {"rounding": terms.mode.value},
        "matched_rate": matched,
        "quotes": [
            {
                "duration_ms": one.talk_ms,
                "billed_s": one.billed_s,
                "amount": one.amount,
                "tax": one.tax,
                "total": one.total,
            }
            for one in quoted.quotes
        ],
    }


async def _trunk_named(cases: UseCases, name: str) -> str:
    filters = {"name": name}
    found = await cases.objects.page(Kind.CUSTOMER_TRUNK, after="", limit=1, filters=filters)
    if not found:
        raise NotFound(Kind.CUSTOMER_TRUNK, name)
    return str(found[0]["id"])


_BOOKS = frozenset({"cash", "correction"})


def _payment(row: Record) -> Record:
    """A transfer as the payment it is: money into the account counts up."""
    comes_in = row["debit"] in _BOOKS
    amount = row["amount"]
    return {
        "id": row["key"],
        "account_id": row["credit"] if comes_in else row["debit"],
        "amount": amount if comes_in else -amount,  # type: ignore[operator]  # a Decimal
        "currency": row["currency"],
        "kind": row["kind"],
        "note": row["note"],
        "actor": row["actor"],
        "at": row["at"] if isinstance(row["at"], dt.datetime) else None,
    }


def _before(after: str) -> int | None:
    if not after:
        return None
    (text,) = decode_cursor(after, size=1)
    if not text.isdigit() or len(text) > 18:
        raise Invalid("after", "is not a cursor of this list")
    return int(text)
