"""The API on a free port, on real servers, with the other services played by small ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from services.api.server import ApiService
from services.api.settings import Settings
from services.common.telemetry import Telemetry
from tests.integration.api.others import Others

ADMIN_KEY = "tdm_admin-key-of-the-tests"


class _Over(Exception):
    """Ends the tasks of an API."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[ApiService, httpx.AsyncClient]]:
    """An API process's worth of service, and a client with the admin key."""
    service = ApiService(settings, Telemetry("api", settings.node))
    try:
        async with asyncio.TaskGroup() as tasks:
            await service.start(tasks)
            headers = {"authorization": f"Bearer {ADMIN_KEY}"}
            async with httpx.AsyncClient(
                base_url=f"http://{service.address}", headers=headers, timeout=60
            ) as client:
                yield service, client
            await service.close()
            raise _Over
    except* _Over:
        pass


@pytest.fixture
async def others() -> AsyncIterator[Others]:
    """Signaling, routing and rating, as far as the API asks them."""
    async with Others.started() as started:
        yield started


@pytest.fixture
def settings(database: str, clickhouse_dsn: str, nats_url: str, others: Others) -> Settings:
    """Settings of an API on the servers of this module."""
    return Settings(
        node="test",
        http="127.0.0.1:0",
        admin_key=ADMIN_KEY,
        nats_url=nats_url,
        postgres_dsn=database,
        clickhouse_dsn=clickhouse_dsn,
        signaling_address=others.address,
        routing_address=others.address,
        rating_address=others.address,
        largest_body_bytes=1_000_000,
    )


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[tuple[ApiService, httpx.AsyncClient]]:
    """A running API with its client."""
    async with running(settings) as started:
        yield started


@pytest.fixture
def api(service: tuple[ApiService, httpx.AsyncClient]) -> httpx.AsyncClient:
    """A client with the admin key."""
    return service[1]
