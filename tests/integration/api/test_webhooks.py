"""Webhooks from the bus to a real endpoint."""

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import httpx
import pytest

from services.api.server import ApiService
from services.common.bus import Bus
from services.common.events import (
    CONFIG_CHANGED_SUBJECT,
    ENDED_SUBJECT,
    PROGRESS_SUBJECT,
    CallEnded,
    CallStarted,
    ConfigChanged,
    EndedBatch,
    ProgressBatch,
    encode,
)

AT = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


@dataclass
class Receiver:
    """An HTTP endpoint that answers what it is told to."""

    url: str = ""
    status: int = 200
    holds: asyncio.Event | None = None
    """Answers wait for it."""
    received: "asyncio.Queue[tuple[dict[str, str], bytes]]" = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:-2]
                headers = dict(line.lower().split(": ", 1) for line in lines)
                raw = dict(line.split(": ", 1) for line in lines)
                headers |= {name.lower(): value for name, value in raw.items()}
                body = await reader.readexactly(int(headers["content-length"]))
                self.received.put_nowait((headers, body))
                if self.holds is not None:
                    await self.holds.wait()
                writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-length: 0\r\n\r\n".encode())
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    receiver.url = f"http://127.0.0.1:{port}/hook?a=1"
    try:
        yield receiver
    finally:
        server.close()


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[Bus]:
    bus = Bus(url, "test")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bus.run())
        await bus.wait_connected()
        yield bus
        running.cancel()


async def start(bus: Bus, seq: int, call: str) -> None:
    event = CallStarted(call_id=call, node="s", invited_at=AT, caller="1", called="44")
    batch = ProgressBatch(node="s", epoch=1, seq=seq, events=[event])
    await bus.publish(PROGRESS_SUBJECT, encode(batch), f"s/1/{seq}")


async def end(bus: Bus, seq: int, call: str) -> None:
    event = CallEnded(call_id=call, node="s", invited_at=AT, ended_at=AT, end_reason="busy")
    batch = EndedBatch(node="s", epoch=1, seq=seq, events=[event])
    await bus.publish(ENDED_SUBJECT, encode(batch), f"s/1/{seq}")


async def hook(api: httpx.AsyncClient, url: str, **fields: object) -> dict[str, str]:
    await api.put("/v1/settings/webhooks_allow_private", json={"value": True})
    answer = await api.post("/v1/webhooks", json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


async def settled(api: httpx.AsyncClient, webhook_id: str) -> list[dict[str, object]]:
    """The delivery log, once nothing is under way."""
    while True:
        answer = await api.get(f"/v1/webhooks/{webhook_id}/deliveries")
        log: list[dict[str, object]] = answer.json()["data"]
        if log and all(one["finished_at"] or one["last_error"] for one in log):
            return log


@pytest.fixture(autouse=True)
async def no_webhooks(api: httpx.AsyncClient) -> AsyncIterator[None]:
    """Each test has only its own."""
    yield
    for one in (await api.get("/v1/webhooks")).json()["data"]:
        await api.delete(f"/v1/webhooks/{one['id']}")


async def test_events_arrive_signed(api: httpx.AsyncClient, nats_url: str) -> None:
    async with asyncio.timeout(30), receiving() as receiver, publishing(nats_url) as bus:
        made = await hook(api, receiver.url)
        await start(bus, 1, "cal_signed")
        await end(bus, 2, "cal_signed")
        got = [await receiver.received.get() for _ in range(2)]
        assert {json.loads(body)["type"] for _, body in got} == {"call.setup", "call.end"}
        headers, body = got[0]
        key = base64.b64decode(made["secret"].removeprefix("whsec_"))
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"
        assert headers["webhook-id"].startswith("dlv_")
        log = await settled(api, made["id"])
        assert {(one["state"], one["last_status"]) for one in log} == {("delivered", 200)}


async def test_only_the_events_asked_for_and_once(api: httpx.AsyncClient, nats_url: str) -> None:
    async with asyncio.timeout(30), receiving() as receiver, publishing(nats_url) as bus:
        made = await hook(api, receiver.url, events=["call.end"])
        await start(bus, 11, "cal_once")
        await end(bus, 12, "cal_once")
        await end(bus, 13, "cal_once")
        await end(bus, 14, "cal_last")
        calls = [json.loads((await receiver.received.get())[1])["data"]["call_id"] for _ in "12"]
        assert sorted(calls) == ["cal_last", "cal_once"]
        assert len(await settled(api, made["id"])) == 2


async def test_a_change_made_elsewhere_is_heard_of_at_once(
    api: httpx.AsyncClient, nats_url: str, database: str
) -> None:
    async with (
        asyncio.timeout(30),
        receiving() as here,
        receiving() as elsewhere,
        publishing(nats_url) as bus,
    ):
        await hook(api, here.url)
        await end(bus, 15, "cal_here")
        await here.received.get()
        # What another process of the API leaves: a row, and word of it.
        connection = await asyncpg.connect(database)
        await connection.execute(
            "INSERT INTO config.webhook (id, url, secret) VALUES ('whk_else', $1, 'whsec_AAAA')",
            elsewhere.url,
        )
        await connection.close()
        await bus.publish_core(CONFIG_CHANGED_SUBJECT, encode(ConfigChanged(revision=1_000_000)))
        # A message queued before the webhook was known would never reach it.
        await end(bus, 16, "cal_elsewhere")
        _, body = await elsewhere.received.get()
        assert json.loads(body)["data"]["call_id"] == "cal_elsewhere"


async def test_failure_is_tried_again_and_can_be_resent(
    api: httpx.AsyncClient, nats_url: str
) -> None:
    async with asyncio.timeout(30), receiving() as receiver, publishing(nats_url) as bus:
        receiver.status = 500
        made = await hook(api, receiver.url)
        await end(bus, 21, "cal_again")
        first, _ = await receiver.received.get()
        (failed,) = await settled(api, made["id"])
        assert (failed["state"], failed["attempts"], failed["last_status"]) == ("pending", 1, 500)
        assert failed["next_at"] is not None
        receiver.status = 200
        resent = await api.post(f"/v1/webhook_deliveries/{failed['id']}/resend")
        assert resent.status_code == 202
        second, _ = await receiver.received.get()
        assert second["webhook-id"] == first["webhook-id"]


async def test_gone_switches_it_off(api: httpx.AsyncClient, nats_url: str) -> None:
    async with asyncio.timeout(30), receiving() as receiver, publishing(nats_url) as bus:
        receiver.status = 410
        made = await hook(api, receiver.url)
        await end(bus, 31, "cal_gone")
        await receiver.received.get()
        await settled(api, made["id"])
        shown = (await api.get(f"/v1/webhooks/{made['id']}")).json()
        assert shown["enabled"] is False
        assert "410" in shown["disabled_because"]
        on = await api.patch(f"/v1/webhooks/{made['id']}", json={"enabled": True})
        assert on.json()["disabled_because"] is None


async def test_a_slow_endpoint_holds_up_nobody(api: httpx.AsyncClient, nats_url: str) -> None:
    async with (
        asyncio.timeout(30),
        receiving() as slow,
        receiving() as quick,
        publishing(nats_url) as bus,
    ):
        slow.holds = asyncio.Event()
        await hook(api, slow.url)
        await hook(api, quick.url)
        for number in range(30):
            await end(bus, 40 + number, f"cal_slow_{number}")
        got = [await quick.received.get() for _ in range(30)]
        assert len(got) == 30
        assert 1 <= slow.received.qsize() <= 8
        slow.holds.set()
        for _ in range(30):
            await slow.received.get()


async def test_private_targets_are_refused(api: httpx.AsyncClient, nats_url: str) -> None:
    async with asyncio.timeout(30), receiving() as receiver, publishing(nats_url) as bus:
        made = await hook(api, receiver.url)
        await api.put("/v1/settings/webhooks_allow_private", json={"value": False})
        await end(bus, 81, "cal_private")
        (failed,) = await settled(api, made["id"])
        assert "public" in str(failed["last_error"])
        assert receiver.received.empty()


async def test_two_secrets_sign_while_rotating(api: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30), receiving() as receiver:
        made = await hook(api, receiver.url)
        path = f"/v1/webhooks/{made['id']}"
        rotated = (await api.post(f"{path}/rotate_secret")).json()
        assert rotated["secret"] != made["secret"]
        assert rotated["is_rotating"] is True
        assert (await api.post(f"{path}/test")).status_code == 202
        headers, body = await receiver.received.get()
        assert json.loads(body)["type"] == "webhook.test"
        assert len(headers["webhook-signature"].split()) == 2
        text = (await api.get("/v1/audit_events")).text + (await api.get(path)).text
        assert made["secret"] not in text
        assert rotated["secret"] not in text


async def test_without_webhooks_nothing_is_written(
    service: tuple[ApiService, httpx.AsyncClient], nats_url: str
) -> None:
    api = service[1]
    async with asyncio.timeout(30), receiving() as receiver, publishing(nats_url) as bus:
        await end(bus, 91, "cal_nobody")
        made = await hook(api, receiver.url)
        await end(bus, 92, "cal_somebody")
        _, body = await receiver.received.get()
        assert json.loads(body)["type"] == "call.end"
        assert len(await settled(api, made["id"])) <= 2
