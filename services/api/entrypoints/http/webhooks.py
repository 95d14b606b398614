"""Routes of webhooks and their delivery log."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from services.api.core.cursor import decode_cursor
from services.api.core.kinds import Kind
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
    tagged,
)
from services.api.entrypoints.http.documents import Page, everything, given
from services.api.entrypoints.http.objects import IfMatch, webhook_view

READS = [need("webhooks:read")]
WRITES = [need("webhooks:write")]


def router() -> APIRouter:
    """Webhooks themselves."""
    routes = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @routes.get("", response_model=Page, dependencies=READS)
    async def list_webhooks(
        request: Request, cases: Cases, limit: Limit = DEFAULT_LIMIT, after: After = ""
    ) -> Response:
        """Webhooks in the order of their creation."""
        start = decode_cursor(after, size=1)[0] if after else ""
        rows = await cases.objects.page(Kind.WEBHOOK, after=start, limit=limit + 1, filters={})
        return page(request, rows, limit, lambda row: [str(row["id"])], webhook_view)

    @routes.post("", status_code=201, response_model=schemas.Webhook, dependencies=WRITES)
    async def create_webhook(body: schemas.WebhookCreate, cases: Cases, who: Who) -> Response:
        """Create one; ``secret`` verifies its deliveries (Standard Webhooks)."""
        record = await cases.objects.create_webhook(everything(body), who)
        view = {**webhook_view(record), "secret": record["secret"]}
        return shown(view, 201, cache_control="no-store")

    @routes.get("/{webhook_id}", response_model=schemas.Webhook, dependencies=READS)
    async def get_webhook(webhook_id: str, cases: Cases) -> Response:
        """One webhook."""
        record = await cases.objects.get(Kind.WEBHOOK, webhook_id)
        return tagged(Kind.WEBHOOK, record, webhook_view(record))

    @routes.patch("/{webhook_id}", response_model=schemas.Webhook, dependencies=WRITES)
    async def update_webhook(
        webhook_id: str,
        body: schemas.WebhookPatch,
        cases: Cases,
        who: Who,
        if_match: IfMatch = None,
    ) -> Response:
        """Change the fields the body names."""
        fields = given(body)
        record = await cases.objects.patch(Kind.WEBHOOK, webhook_id, fields, who, if_match)
        return tagged(Kind.WEBHOOK, record, webhook_view(record))

    @routes.delete("/{webhook_id}", status_code=204, dependencies=WRITES)
    async def delete_webhook(
        webhook_id: str, cases: Cases, who: Who, if_match: IfMatch = None
    ) -> None:
        """Remove one, and its deliveries."""
        await cases.objects.delete(Kind.WEBHOOK, webhook_id, who, if_match)

    @routes.post(
        "/{webhook_id}/rotate_secret", response_model=schemas.Webhook, dependencies=WRITES
    )
    async def rotate_secret(
        webhook_id: str, cases: Cases, who: Who, body: schemas.RotateSecret | None = None
    ) -> Response:
        """A new secret; by default deliveries are signed with the old one too."""
        keep = body is None or body.keep_previous
        record = await cases.objects.rotate_secret(webhook_id, who, keep_previous=keep)
        view = {**webhook_view(record), "secret": record["secret"]}
        return shown(view, cache_control="no-store")

    @routes.post("/{webhook_id}/test", status_code=202, dependencies=WRITES)
    async def test_webhook(webhook_id: str, cases: Cases) -> Response:
        """Send a ``webhook.test`` message."""
        await cases.deliveries.test(webhook_id)
        return shown({"queued": True}, 202)

    return routes


def delivery_router() -> APIRouter:
    """The delivery log."""
    routes = APIRouter(tags=["webhooks"])

    @routes.get("/webhooks/{webhook_id}/deliveries", response_model=Page, dependencies=READS)
    async def list_deliveries(
        request: Request,
        webhook_id: str,
        cases: Cases,
        limit: Limit = DEFAULT_LIMIT,
        after: After = "",
        state: Annotated[Literal["", "pending", "delivered", "failed"], Query()] = "",
    ) -> Response:
        """What was sent, or waits to be, newest first."""
        start = decode_cursor(after, size=1)[0] if after else ""
        rows = await cases.deliveries.page(webhook_id, before=start, limit=limit + 1, state=state)
        return page(request, rows, limit, lambda row: [str(row["id"])])

    @routes.post("/webhook_deliveries/{delivery_id}/resend", status_code=202, dependencies=WRITES)
    async def resend_delivery(delivery_id: str, cases: Cases) -> Response:
        """Send one again, whatever became of it."""
        return shown(await cases.deliveries.resend(delivery_id), 202)

    return routes
