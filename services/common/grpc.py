"""gRPC servers and channels, and how our errors cross them.

A :class:`Server` with links accepts at its address itself and looks at the first bytes of each
connection: a link (:mod:`services.common.link`) is served in place, anything else is gRPC and is
passed through, byte by byte, to a grpcio server behind it. So one address serves both: the links
of our own processes at a tenth of the cost, and every gRPC client there is.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import grpc

from services.common.addresses import split_address
from services.common.door import Accept, Door, Rooms, Visitors
from services.common.errors import Invalid, SwitchError, Unavailable
from services.common.link import EventT, ItemT, LinkMethod, ReplyT
from services.common.link_server import LinkConnection, OnItems, serve_stream
from services.common.logs import get_logger

log = get_logger(__name__)

ServicerT = TypeVar("ServicerT")
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]"

_OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.max_send_message_length", 16 * 1024 * 1024),
)
_FIELD_KEY = "tandem-field"


class Server:
    """What one service offers to the others, at ``host:port`` or ``unix:/path``.

    Everything is added before :meth:`start`. An error of ours that leaves a unary method becomes
    INVALID_ARGUMENT, UNAVAILABLE or FAILED_PRECONDITION.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._grpc = grpc.aio.server(interceptors=[_StatusOfErrors()], options=_OPTIONS)
        self._links: dict[bytes, Accept] = {}
        self._listener: asyncio.Server | None = None
        self._visitors = Visitors()

    def add(
        self, register: Callable[[ServicerT, grpc.aio.Server], None], servicer: ServicerT
    ) -> None:
        """Serve ``servicer`` through its generated ``add_<Service>Servicer_to_server``."""
        register(servicer, self._grpc)

    def add_link(
        self,
        method: LinkMethod[ItemT, ReplyT, EventT],
        on_items: OnItems[ItemT, ReplyT, EventT],
    ) -> None:
        """Serve a link, to our own processes and to gRPC clients; after the servicer is added.

        (The last handler added for a method wins, and the generated one knows no link.)
        """

        def accept(
            transport: asyncio.Transport, visitors: Visitors
        ) -> LinkConnection[ItemT, ReplyT, EventT]:
            return LinkConnection(method, on_items, transport, visitors)

        async def stream(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
            async for batch in serve_stream(requests, method, on_items):
                yield batch

        self._links[method.path.encode()] = accept
        service, _, name = method.path.lstrip("/").partition("/")
        handler: _Handler = grpc.stream_stream_rpc_method_handler(stream)
        self._grpc.add_registered_method_handlers(service, {name: handler})

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Listen; ``tasks`` holds the connections of gRPC clients.

        Raises:
            OSError: the address is taken or not ours.
        """
        if not self._links:
            _bind(self._grpc, self._address)
            await self._grpc.start()
            return
        behind = _address_behind(self._address)
        _bind(self._grpc, behind)
        await self._grpc.start()
        loop = asyncio.get_running_loop()

        rooms = Rooms(self._links, behind.partition(":")[2], self._visitors, tasks)

        def door() -> Door:
            return Door(rooms)

        if self._address.startswith("unix:"):
            path = self._address.removeprefix("unix:")
            self._listener = await loop.create_unix_server(door, path)
        else:
            host, port = split_address(self._address)
            self._listener = await loop.create_server(door, host, port)

    async def stop(self, grace_s: float = 1.0) -> None:
        """Stop accepting; calls in progress may take ``grace_s`` to finish."""
        if self._listener is not None:
            self._listener.close()
        await self._grpc.stop(grace_s)
        self._visitors.close_all()
        if self._address.startswith("unix:"):
            _remove_socket(self._address)


def _remove_socket(address: str) -> None:
    Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to another service; it connects by itself, again and again."""
    return grpc.aio.insecure_channel(address, options=_OPTIONS)


@contextmanager
def translated_rpc(what: str) -> Iterator[None]:
    """Turn the failure of a unary call back into the error it was at the other side.

    Raises:
        Invalid: the other side found a field unacceptable.
        Unavailable: there is no answer, or none in time.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            facts = dict(error.trailing_metadata() or ())
            field = str(facts.get(_FIELD_KEY, "request"))
            raise Invalid(field, (error.details() or "").removeprefix(f"{field}: ")) from error
        if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
            raise SwitchError(error.details() or what) from error
        raise Unavailable(what) from error


class _StatusOfErrors(grpc.aio.ServerInterceptor):
    """Answers unary calls that ended in an error of ours with the status that says so."""

    async def intercept_service(
        self,
        continuation: _Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            _guarded(cast("_Unary", handler.unary_unary)),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


_Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"
_Unary: TypeAlias = Callable[[object, _Context], Awaitable[object]]


def _guarded(method: _Unary) -> _Unary:
    async def call(request: object, context: _Context) -> object:
        try:
            return await method(request, context)
        except Invalid as error:
            context.set_trailing_metadata(((_FIELD_KEY, _header_safe(error.field)),))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Unavailable as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except SwitchError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        raise AssertionError  # abort() always raises

    return call


def _header_safe(text: str) -> str:
    return "".join(char if " " < char <= "~" else "_" for char in text[:100])


def _bind(server: grpc.aio.Server, address: str) -> None:
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen at {address}") from error


def _address_behind(address: str) -> str:
    if address.startswith("unix:") and len(address) < 100:  # 108 bytes is the system's limit
        return address + ".grpc"
    return f"unix-abstract:tandem-{secrets.token_hex(16)}"
