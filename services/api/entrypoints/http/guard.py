"""Stands before the routes: who is asking, how much they send, and whether they asked before.

Plain ASGI: nothing of a body is read for callers without a key, and streamed bodies stay streams.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.app.access import Access
from services.api.core.idempotency import (
    LONGEST_KEY,
    Decision,
    Kept,
    decide,
    fingerprint,
    worth_keeping,
)
from services.api.core.keys import Caller
from services.api.core.problems import InProgress, KeyReused, Problem, Rejected
from services.api.core.text import one_line
from services.api.entrypoints.http.problem import ProblemDetails, details_of
from services.api.ports import Answers
from services.common.errors import SwitchError

# The longest silence in the middle of a request body.
_SILENCE_S = 30.0
_LONGEST_TARGET = 8192
_OPEN_PATHS = frozenset({"/livez", "/readyz", "/openapi.json", "/docs", "/docs/oauth2-redirect"})
NO_STORE = (b"cache-control", b"no-store")
"""Marks an answer that shows a secret."""
_IDEMPOTENT_HEADERS = (b"content-type", b"etag", b"location")


class _TooLarge(Exception):
    """More came than is allowed."""


class Guard:
    """Authentication, limits of size and time, idempotency keys."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        answers: Answers,
        largest_body_bytes: int,
        utc_now: Callable[[], dt.datetime],
    ) -> None:
        self._app = app
        self._access = access
        self._answers = answers
        self._largest = largest_body_bytes
        self._utc_now = utc_now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watched = _Watched(send)
        try:
            await self._pass(scope, receive, watched)
        except SwitchError as error:
            await details_of(error).response()(scope, receive, watched)
        except _TooLarge:
            detail = f"at most {self._largest} bytes"
            await watched.answer(ProblemDetails("too_large", detail), scope, receive)
        except TimeoutError:
            await watched.answer(ProblemDetails("too_slow"), scope, receive)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        _check_target(scope)
        headers = Headers(scope=scope)
        caller: Caller | None = None
        if scope["path"] not in _OPEN_PATHS:
            source = scope["client"][0] if scope.get("client") else ""
            caller = await self._access.caller(headers.get("authorization"), source)
            scope.setdefault("state", {})["caller"] = caller
        is_stream = scope["method"] == "POST" and scope["path"].endswith("/imports")
        guarded = _Body(receive, None if is_stream else self._largest)
        if (length := headers.get("content-length", "0")).isdigit():
            guarded.expect(int(length))
        key = headers.get("idempotency-key")
        if key is None or caller is None or scope["method"] != "POST" or is_stream:
            await self._app(scope, guarded, send)
        else:
            await self._once(caller, _checked(key), scope, guarded, send)

    async def _once(
        self, caller: Caller, key: str, scope: Scope, receive: "_Body", send: Send
    ) -> None:
        """Answer a request, unless it was answered before: then say the same again."""
        body = await receive.whole()
        target = scope["path"] + "?" + scope["query_string"].decode("latin-1")
        request_hash = fingerprint(scope["method"], target, body)
        now = self._utc_now()
        earlier = await self._answers.claim(caller.user_id, key, request_hash, now)
        if earlier is not None:
            await _again(earlier, decide(earlier, request_hash, now), send)
            return
        recorder = _Recorder()
        try:
            await self._app(scope, _replayed(body, receive), recorder)
        finally:
            # Also when the client went away meanwhile: the claim must not outlive the request.
            await asyncio.shield(self._settle(caller.user_id, key, recorder))
        # Only now: who has the answer and asks again at once finds it kept.
        for message in recorder.messages:
            await send(message)

    async def _settle(self, user_id: str, key: str, recorder: "_Recorder") -> None:
        if recorder.is_complete and worth_keeping(recorder.status):
            await self._answers.keep(
                user_id,
                key,
                status=recorder.status,
                headers=recorder.kept_headers(),
                body=recorder.kept_body(),
            )
        else:
            await self._answers.release(user_id, key)


def _check_target(scope: Scope) -> None:
    query: bytes = scope["query_string"]
    if len(query) + len(scope["path"]) > _LONGEST_TARGET:
        raise Rejected([Problem("", f"the address is longer than {_LONGEST_TARGET}")])
    try:
        one_line(scope["path"])
        one_line(unquote_to_bytes(query).decode())
    except ValueError as error:  # not UTF-8 included
        raise Rejected([Problem("", f"the address {error}")]) from error


def _checked(key: str) -> str:
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        reason = f"must be 1 to {LONGEST_KEY} printable ASCII characters"
        raise Rejected([Problem("Idempotency-Key", reason)])
    return key


async def _again(earlier: Kept, decision: Decision, send: Send) -> None:
    if decision is Decision.MISMATCH:
        raise KeyReused("use a new key for a new request")
    if decision is not Decision.REPLAY or earlier.status is None:
        raise InProgress("ask again in a moment")
    headers = [(name.encode(), value.encode()) for name, value in earlier.headers]
    headers += [
        (b"idempotent-replayed", b"true"),
        (b"content-length", str(len(earlier.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": earlier.status, "headers": headers})
    await send({"type": "http.response.body", "body": earlier.body})


class _Body:
    """A request body that is neither too long nor too slow."""

    def __init__(self, receive: Receive, largest: int | None) -> None:
        self._receive = receive
        self._largest = largest
        self._size = 0
        self._is_done = False

    def expect(self, size: int) -> None:
        """Refuse before the first byte what says that it is too long."""
        if self._largest is not None and size > self._largest:
            raise _TooLarge

    async def __call__(self) -> Message:
        """The next message of the client."""
        if self._is_done:
            return await self._receive()  # only a disconnect can follow, whenever it comes
        async with asyncio.timeout(_SILENCE_S):
            message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self.expect(self._size)
            self._is_done = not message.get("more_body", False)
        else:
            self._is_done = True
        return message

    async def whole(self) -> bytes:
        """All of it."""
        parts: list[bytes] = []
        while not self._is_done:
            parts.append((await self()).get("body", b""))
        return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A body read already, for whoever comes next."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return first.pop() if first else await receive()

    return next_message


class _Watched:
    """Knows whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        self._has_begun = True
        await self._send(message)

    async def answer(self, problem: ProblemDetails, scope: Scope, receive: Receive) -> None:
        """Answer with a problem, unless an answer is on its way."""
        if not self._has_begun:
            await problem.response()(scope, receive, self)


class _Recorder:
    """Holds an answer back until it is settled."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self.status = 0
        self.is_complete = False

    async def __call__(self, message: Message) -> None:
        """Take a message of the answer."""
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            self.is_complete = not message.get("more_body", False)

    def kept_body(self) -> bytes:
        """The body, without a secret that is shown once and stored nowhere."""
        if NO_STORE not in self._headers:
            return bytes(self._body)
        return json.dumps(json.loads(self._body) | {"secret": None}).encode()

    def kept_headers(self) -> list[tuple[str, str]]:
        """The headers worth repeating."""
        return [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in self._headers
            if name in _IDEMPOTENT_HEADERS
        ]
