"""Nothing that comes in makes the API fail, whatever it is and whatever is away."""

import asyncio
import random
from urllib.parse import quote

import httpx

from services.api.server import ApiService
from services.api.settings import Settings
from services.common.telemetry import Telemetry
from tests.integration.api.conftest import ADMIN_KEY

STRINGS = ["", "x", "\x00", "a\r\nb", "../..", "'; --", "%s", "\u2028", "😀" * 50, "9" * 400, "-1"]
BODIES = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b'"x"',
    b"1e999",
    b"NaN",
    b'{"name":"\\ud800","currency":"USD"}',
    b'{"name":{"a":1},"amount":NaN,"rates":[null],"settings":{"":[]}}',
    b"[" * 5000,
    b'{"accounts":[{}],"rate_decks":[{"rates":[{}]}],"users":null}',
    b'{"durations_ms":[-1,1e30],"rate":{"price":1e400},"value":1e400}',
    b"\xff\xfe",
]
_SEED = 7


async def test_no_input_is_an_internal_error(api: httpx.AsyncClient) -> None:
    chance = random.Random(_SEED)
    described = (await api.get("/openapi.json")).json()["paths"]
    for path, methods in described.items():
        for method in methods:
            for _ in range(4):
                target = path
                while "{" in target:
                    head, _, rest = target.partition("{")
                    value = quote(chance.choice(STRINGS), safe="")
                    target = head + (value or "x") + rest.partition("}")[2]
                answer = await api.request(
                    method,
                    target,
                    params={
                        chance.choice(["after", "limit", "at", "name"]): chance.choice(STRINGS)
                    },
                    content=chance.choice(BODIES),
                    headers={
                        "content-type": chance.choice(["application/json", "text/csv", "x"]),
                        "if-match": chance.choice(["", "*", '"']),
                    },
                )
                assert answer.status_code != 500, (method, target, answer.text)
                if answer.status_code >= 400 and method.upper() != "HEAD":
                    assert answer.json()["code"]


async def test_nameless_requests_are_not_even_read(api: httpx.AsyncClient) -> None:
    answer = await api.post(
        "/v1/apply", content=b"x" * 100_000, headers={"authorization": "Bearer tdm_no"}
    )
    assert answer.status_code == 401


class _Over(Exception):
    """Ends the tasks of an API."""


async def test_before_the_database_is_there_everything_says_so(settings: Settings) -> None:
    away = settings.model_copy(update={"postgres_dsn": "postgresql://x@127.0.0.1:1/x"})
    service = ApiService(away, Telemetry("api", "away"))
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    try:
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            starting = tasks.create_task(service.start(tasks))
            # The web server tells in no other way.
            while not service.ready()["http"]:  # noqa: ASYNC110
                await asyncio.sleep(0)
            async with httpx.AsyncClient(
                base_url=f"http://{service.address}", headers=headers
            ) as api:
                answer = await api.get("/v1/accounts")
                assert (answer.status_code, answer.json()["what"]) == (503, "config database")
                assert (await api.get("/readyz")).status_code == 503
                assert (await api.get("/livez")).status_code == 200
                assert (await api.get("/v1/calls")).status_code == 200
                health = (await api.get("/v1/health")).json()
                assert health["parts"]["postgres"]["status"] == "down"
            starting.cancel()
            await service.close()
            raise _Over
    except* _Over:
        pass
