"""The whole HTTP application."""

import datetime as dt
from collections.abc import Callable

from fastapi import FastAPI

from services.api.app.access import Access
from services.api.entrypoints.http import (
    bans,
    calls,
    money,
    objects,
    operations,
    problem,
    rates,
    webhooks,
)
from services.api.entrypoints.http.dependencies import DOCUMENTED, UseCases
from services.api.entrypoints.http.guard import Guard
from services.api.ports import Answers

_DESCRIPTION = """
Tandem, a carrier softswitch. Money is a decimal string with an ISO 4217 currency, instants are
RFC 3339 in UTC, lists continue at `next`. Errors are RFC 9457 problems with a stable `code`.
A POST with an `Idempotency-Key` is answered once; repeated within a day it gets the same answer.
"""


def make_application(
    use_cases: UseCases,
    *,
    access: Access,
    answers: Answers,
    largest_body_bytes: int,
    utc_now: Callable[[], dt.datetime],
) -> FastAPI:
    """The routes, behind the guard."""
    app = FastAPI(
        title="Tandem",
        version="1",
        description=_DESCRIPTION,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"description": "A problem", "content": {problem.MEDIA_TYPE: {}}}},
    )
    app.state.use_cases = use_cases
    problem.install(app)
    app.add_middleware(
        Guard,
        access=access,
        answers=answers,
        largest_body_bytes=largest_body_bytes,
        utc_now=utc_now,
    )
    app.include_router(operations.probe_router())
    for router in (
        objects.router(),
        rates.router(),
        rates.import_router(),
        objects.key_router(),
        money.router(),
        money.trial_router(),
        bans.router(),
        calls.router(),
        calls.record_router(),
        calls.vendor_router(),
        calls.registration_router(),
        webhooks.router(),
        webhooks.delivery_router(),
        operations.settings_router(),
        operations.audit_router(),
        operations.apply_router(),
        operations.health_router(),
    ):
        app.include_router(router, prefix="/v1", dependencies=[DOCUMENTED])
    return app
