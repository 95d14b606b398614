"""Routes of the configuration objects: the same five for each kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from services.api.core.cursor import decode_cursor
from services.api.core.keys import PREFIX
from services.api.core.kinds import Kind
from services.api.core.passwords import hidden
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
    tagged,
)
from services.api.entrypoints.http.documents import Page, everything, given
from services.api.entrypoints.http.fields import Shape

IfMatch = Annotated[str | None, Header(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind, as the API shows it."""

    kind: Kind
    plural: str
    create: type[Shape]
    patch: type[Shape]
    out: type[Shape]
    filters: tuple[str, ...] = ()
    view: Callable[[Record], Mapping[str, object]] = dict


def webhook_view(record: Record) -> Mapping[str, object]:
    """A webhook without its secrets."""
    hidden = ("secret", "previous_secret")
    kept = {name: value for name, value in record.items() if name not in hidden}
    return kept | {"is_rotating": record["previous_secret"] is not None}


def trunk_view(record: Record) -> Mapping[str, object]:
    """A trunk without its passwords."""
    return {name: hidden(value) for name, value in record.items()}


RESOURCES = (
    Resource(Kind.ACCOUNT, "accounts", schemas.AccountCreate, schemas.AccountPatch,
             schemas.Account, ("name", "currency")),
    Resource(Kind.RATE_DECK, "rate_decks", schemas.RateDeckCreate, schemas.RateDeckPatch,
             schemas.RateDeck, ("name", "currency")),
    Resource(Kind.CUSTOMER_TRUNK, "customer_trunks", schemas.CustomerTrunkCreate,
             schemas.CustomerTrunkPatch, schemas.CustomerTrunk,
             ("name", "account_id", "rate_deck_id"), trunk_view),
    Resource(Kind.VENDOR_TRUNK, "vendor_trunks", schemas.VendorTrunkCreate,
             schemas.VendorTrunkPatch, schemas.VendorTrunk,
             ("name", "account_id", "rate_deck_id"), trunk_view),
    Resource(Kind.USER, "users", schemas.UserCreate, schemas.UserPatch, schemas.User, ("name",)),
)  # fmt: skip


def router() -> APIRouter:
    """The routes of every kind."""
    routes = APIRouter()
    for resource in RESOURCES:
        _reading(routes, resource)
        _writing(routes, resource)
    return routes


def _reading(routes: APIRouter, resource: Resource) -> None:
    kind, path = resource.kind, f"/{resource.plural}"
    reads = [need(f"{resource.plural}:read")]

    @routes.get(
        path,
        response_model=Page,
        dependencies=reads,
        tags=[resource.plural],
        name=f"list_{path[1:]}",
    )
    async def list_objects(
        request: Request,
        cases: Cases,
        limit: Limit = DEFAULT_LIMIT,
        after: After = "",
        name: Annotated[str, Query(max_length=200)] = "",
        currency: Annotated[str, Query(max_length=3)] = "",
        account_id: Annotated[str, Query(max_length=100)] = "",
        rate_deck_id: Annotated[str, Query(max_length=100)] = "",
    ) -> Response:
        """Objects in the order of their creation, narrowed by the fields they have."""
        asked = {"name": name, "currency": currency, "account_id": account_id,
                 "rate_deck_id": rate_deck_id}  # fmt: skip
        filters = {field: value for field, value in asked.items() if value}
        start = decode_cursor(after, size=1)[0] if after else ""
        rows = await cases.objects.page(kind, after=start, limit=limit + 1, filters=filters)
        return page(request, rows, limit, lambda row: [str(row["id"])], resource.view)

    @routes.get(
        f"{path}/{{object_id}}",
        response_model=resource.out,
        dependencies=reads,
        tags=[resource.plural],
        name=f"get_{kind}",
    )
    async def get_object(object_id: str, cases: Cases) -> Response:
        """One object, with its ETag."""
        record = await cases.objects.get(kind, object_id)
        return tagged(kind, record, resource.view(record))


def _writing(routes: APIRouter, resource: Resource) -> None:
    kind, path = resource.kind, f"/{resource.plural}"
    writes = [need(f"{resource.plural}:write")]

    @routes.post(
        path,
        status_code=201,
        response_model=resource.out,
        dependencies=writes,
        tags=[resource.plural],
        name=f"create_{kind}",
    )
    async def create_object(
        body: resource.create,  # type: ignore[name-defined]  # the framework reads it at run time
        cases: Cases,
        who: Who,
    ) -> Response:
        """Create one."""
        record = await cases.objects.create(kind, everything(body), who)
        return tagged(kind, record, resource.view(record), 201)

    @routes.patch(
        f"{path}/{{object_id}}",
        response_model=resource.out,
        dependencies=writes,
        tags=[resource.plural],
        name=f"update_{kind}",
    )
    async def patch_object(
        object_id: str,
        body: resource.patch,  # type: ignore[name-defined]  # the framework reads it at run time
        cases: Cases,
        who: Who,
        if_match: IfMatch = None,
    ) -> Response:
        """Change the fields the body names; with ``If-Match``, only what was last read."""
        record = await cases.objects.patch(kind, object_id, given(body), who, if_match)
        return tagged(kind, record, resource.view(record))

    @routes.delete(
        f"{path}/{{object_id}}",
        status_code=204,
        dependencies=writes,
        tags=[resource.plural],
        name=f"delete_{kind}",
    )
    async def delete_object(
        object_id: str, cases: Cases, who: Who, if_match: IfMatch = None
    ) -> None:
        """Remove one; refused while others refer to it."""
        await cases.objects.delete(kind, object_id, who, if_match)


def key_view(record: Record) -> Mapping[str, object]:
    """An API key as lists show it."""
    return {"prefix": PREFIX, **record}


def key_router() -> APIRouter:
    """Routes of API keys; the scope is that of users."""
    routes = APIRouter(tags=["api_keys"])

    @routes.get("/api_keys", response_model=Page, dependencies=[need("users:read")])
    async def list_api_keys(
        request: Request,
        cases: Cases,
        limit: Limit = DEFAULT_LIMIT,
        after: After = "",
        user_id: Annotated[str, Query(max_length=100)] = "",
    ) -> Response:
        """Keys, without their secrets."""
        start = decode_cursor(after, size=1)[0] if after else ""
        filters = {"user_id": user_id} if user_id else {}
        rows = await cases.objects.page(
            Kind.API_KEY, after=start, limit=limit + 1, filters=filters
        )
        return page(request, rows, limit, lambda row: [str(row["id"])], key_view)

    @routes.post(
        "/api_keys",
        status_code=201,
        response_model=schemas.ApiKey,
        dependencies=[need("users:write")],
    )
    async def create_api_key(body: schemas.ApiKeyCreate, cases: Cases, who: Who) -> Response:
        """Make a key. ``secret`` is shown now and never again."""
        record = await cases.objects.create_key(body.user_id, body.expires_at, who)
        return shown(record, 201, cache_control="no-store")

    @routes.delete(
        "/api_keys/{key_id}", response_model=schemas.ApiKey, dependencies=[need("users:write")]
    )
    async def revoke_api_key(key_id: str, cases: Cases, who: Who) -> Response:
        """Revoke a key; it stays in the list."""
        return shown(key_view(await cases.objects.revoke_key(key_id, who)))

    return routes
