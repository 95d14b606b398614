"""The operations endpoint: liveness, readiness, metrics and drain over HTTP.

Four paths for supervisors and Prometheus do not need a web framework, which would cost every
service some 20 MB: this speaks just enough HTTP/1.1, one request per connection.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from services.common.logs import get_logger

log = get_logger(__name__)

_LARGEST_REQUEST = 16 * 1024
_REQUEST_TIMEOUT_S = 5.0
_JSON = "application/json"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Operations:
    """What the endpoint asks of its process."""

    ready: Callable[[], Mapping[str, bool]]
    """What has to work for this process to take work; it is ready when all are true."""
    notes: Callable[[], Mapping[str, str]]
    """What else is worth knowing, and keeps it from nothing."""
    metrics: Callable[[], bytes]
    drain: Callable[[], None]
    """Begin to drain; returns at once."""


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent back."""

    status: int
    body: bytes
    content_type: str = _JSON


_REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


def respond(method: str, path: str, operations: Operations) -> Response:
    """Answer one request.

    ``GET /livez``: 200 while the loop runs. ``GET /readyz``: 200 or 503 with every condition,
    and notes if there are any. ``GET /metrics``: Prometheus text. ``POST /drain``: 202.
    """
    match method, path.partition("?")[0]:
        case (("GET" | "HEAD"), "/livez"):
            return Response(200, b'{"alive":true}')
        case (("GET" | "HEAD"), "/readyz"):
            conditions = dict(operations.ready())
            is_ready = all(conditions.values())
            notes = dict(operations.notes())
            said = {"ready": is_ready, "conditions": conditions}
            body = msgspec.json.encode(said | {"notes": notes} if notes else said)
            return Response(200 if is_ready else 503, body)
        case (("GET" | "HEAD"), "/metrics"):
            return Response(200, operations.metrics(), _PROMETHEUS)
        case "POST", "/drain":
            operations.drain()
            return Response(202, b'{"draining":true}')
        case _, "/livez" | "/readyz" | "/metrics" | "/drain":
            return Response(405, b"{}")
        case _:
            return Response(404, b"{}")


async def serve_operations(address: str, operations: Operations) -> asyncio.Server:
    """Listen at ``host:port``; close the returned server to stop.

    Raises:
        OSError: the address is taken or not ours.
    """
    host, _, port = address.rpartition(":")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                await _answer(reader, writer, operations)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # The peer went away, was too slow or sent too much: its problem, not ours.
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, host.strip("[]"), int(port), limit=_LARGEST_REQUEST)


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, operations: Operations
) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        response = Response(400, b"{}")
    else:
        response = respond(words[0], words[1], operations)
    writer.write(
        f"HTTP/1.1 {response.status} {_REASONS[response.status]}\r\n"
        f"Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    if words[0] != "HEAD":
        writer.write(response.body)
    await writer.drain()
