"""What every route needs: the use cases, the caller, one page's worth of parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response, params
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from services.api.app.applying import Applying
from services.api.app.health import Health
from services.api.app.objects import Objects, tag_of
from services.api.app.payments import Payments
from services.api.app.quotes import Quotes
from services.api.app.tariffs import Tariffs
from services.api.app.webhooks import DeliveryLog
from services.api.core.cursor import encode_cursor
from services.api.core.keys import Caller, allows
from services.api.core.kinds import Kind
from services.api.core.problems import Forbidden
from services.api.core.records import Record, jsonable
from services.api.ports import Guard, LiveCalls, Planner, Records


@dataclass(frozen=True, slots=True)
class UseCases:
    """Everything the routes call."""

    objects: Objects
    tariffs: Tariffs
    applying: Applying
    payments: Payments
    quotes: Quotes
    deliveries: DeliveryLog
    health: Health
    calls: LiveCalls
    records: Records
    planner: Planner
    guard: Guard
    ready: Callable[[], Mapping[str, bool]]


def use_cases(request: Request) -> UseCases:
    """The use cases of this process."""
    found = request.app.state.use_cases
    assert isinstance(found, UseCases)
    return found


Cases = Annotated[UseCases, Depends(use_cases)]

_bearer = HTTPBearer(auto_error=False, description="An API key: `tdm_...`")


def caller_of(request: Request) -> Caller:
    """Who sent the request; the guard found out."""
    caller = request.state.caller
    assert isinstance(caller, Caller)
    return caller


Who = Annotated[Caller, Depends(caller_of)]


def need(scope: str) -> params.Depends:
    """A dependency that lets only callers with ``scope`` through."""

    def check(caller: Who) -> None:
        if not allows(caller.scopes, scope):
            raise Forbidden(scope)

    # The scheme is only named for the documentation; the guard has looked at the key already.
    check.__doc__ = f"Needs the scope ``{scope}``."
    return params.Depends(check)


DOCUMENTED = Depends(_bearer)
"""Shows in the documentation that a key is needed."""

Limit = Annotated[int, Query(ge=1, le=1000, description="Objects per page")]
After = Annotated[str, Query(max_length=1000, description="`next` of the page before")]
DEFAULT_LIMIT = 100


def shown(record: Mapping[str, object], status: int = 200, **headers: str) -> Response:
    """An object as JSON."""
    return JSONResponse(
        jsonable(record), status, {k.replace("_", "-"): v for k, v in headers.items()}
    )


def tagged(kind: Kind, record: Record, view: Mapping[str, object], status: int = 200) -> Response:
    """A configuration object with its ETag."""
    return shown(view, status, etag=tag_of(kind, record))


def page(
    request: Request,
    rows: Sequence[Record],
    limit: int,
    position: Callable[[Record], Sequence[str]],
    view: Callable[[Record], Mapping[str, object]] | None = None,
    **extra: object,
) -> Response:
    """One page of a list, made of up to ``limit`` + 1 rows: one more tells that there is more."""
    kept = rows[:limit]
    cursor = encode_cursor(position(kept[-1])) if len(rows) > limit else None
    data = [jsonable(view(row) if view else row) for row in kept]
    headers = {}
    if cursor is not None:
        query = [(k, v) for k, v in request.query_params.multi_items() if k != "after"]
        target = f"{request.url.path}?{urlencode([*query, ('after', cursor)])}"
        headers["link"] = f'<{target}>; rel="next"'
    return JSONResponse({"data": data, "next": cursor, **extra}, headers=headers)
