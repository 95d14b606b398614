"""Routes of the guard: who is kept out, and why."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field

from services.api.core.problems import NotFound
from services.api.entrypoints.http.dependencies import Cases, Who, need, shown
from services.api.entrypoints.http.fields import Shape
from services.api.ports import Author

LONGEST_BAN_S = 7 * 24 * 3600


class BanOrder(Shape):
    """Whom to keep out."""

    target: Annotated[str, Field(min_length=1, max_length=50)]
    """An address, or a network: a /24 of IPv4 or a /64 of IPv6."""
    seconds: Annotated[int, Field(ge=1, le=LONGEST_BAN_S)] = 3600
    """For how long."""


def router() -> APIRouter:
    """The guard."""
    routes = APIRouter(prefix="/guard", tags=["guard"])
    reads, writes = [need("guard:read")], [need("guard:write")]

    @routes.get("", dependencies=reads)
    async def show_guard(
        cases: Cases, limit: Annotated[int, Query(ge=1, le=1000)] = 20
    ) -> Response:
        """Bans, counters since the start and meters of each signaling process."""
        return shown({"nodes": await cases.guard.show(limit)})

    @routes.post("/bans", status_code=201, dependencies=writes)
    async def ban(body: BanOrder, cases: Cases, who: Who) -> Response:
        """Keep an address or network out. Trunks are never banned: their addresses are refused."""
        target = await cases.guard.ban(body.target, body.seconds)
        await cases.objects.note(Author(who.actor, who.source), "ban", "guard", target)
        return shown({"target": target, "seconds": body.seconds}, 201)

    @routes.delete("/bans/{target:path}", status_code=204, dependencies=writes)
    async def unban(target: str, cases: Cases, who: Who) -> None:
        """Let in again, with nothing held against it."""
        if not await cases.guard.unban(target[:50]):
            raise NotFound("ban", target[:50])
        await cases.objects.note(Author(who.actor, who.source), "unban", "guard", target[:50])

    @routes.get("/rules", dependencies=reads, response_class=PlainTextResponse)
    async def show_rules(
        cases: Cases, form: Annotated[Literal["nftables", "iptables"], Query(alias="format")]
    ) -> Response:
        """Rules for ``nft -f`` or ``iptables-restore --noflush``, where you load them yourself."""
        return PlainTextResponse(await cases.guard.rules(form))

    return routes
