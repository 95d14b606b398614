"""Errors as ``application/problem+json`` (RFC 9457), each with a code that never changes."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from services.api.core import problems
from services.api.core.problems import Problem
from services.api.core.tariff import NoRate
from services.api.entrypoints.http.fields import OPTIONS
from services.common.errors import Invalid, SwitchError, Unavailable
from services.common.logs import get_logger

log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

TITLES: dict[str, tuple[int, str]] = {
    "unauthenticated": (401, "The request carries no valid API key"),
    "forbidden": (403, "The API key may not do this"),
    "not_found": (404, "There is no such object"),
    "no_such_path": (404, "There is nothing at this address"),
    "method_not_allowed": (405, "This address does not know the method"),
    "already_exists": (409, "The value belongs to another object"),
    "in_use": (409, "Other objects refer to this one"),
    "idempotency_mismatch": (409, "The idempotency key was used for a different request"),
    "idempotency_in_progress": (409, "The first request with this key is still being answered"),
    "precondition_failed": (412, "The object changed since it was read"),
    "too_large": (413, "The request is too large"),
    "too_slow": (408, "The request did not arrive in time"),
    "invalid": (422, "The request is not acceptable"),
    "malformed": (400, "The request cannot be understood"),
    "no_rate": (422, "Nothing in the deck prices the number"),
    "import_failed": (422, "Rows of the sheet are not acceptable; nothing was imported"),
    "refused": (422, "The switch refused"),
    "unavailable": (503, "A part of the switch that this needs is away"),
    "internal_error": (500, "The switch made a mistake"),
}
"""Every code, with its status."""


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """One answer that is an error."""

    code: str
    detail: str = ""
    errors: Sequence[Mapping[str, object]] = ()
    extra: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status of its code."""
        return TITLES[self.code][0]

    def body(self) -> bytes:
        """The document."""
        status, title = TITLES[self.code]
        document: dict[str, object] = {
            "type": f"urn:tandem:problem:{self.code}",
            "title": title,
            "status": status,
            "code": self.code,
        }
        if self.detail:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = list(self.errors)
        return json.dumps(document | dict(self.extra)).encode()

    def response(self) -> Response:
        """As a response."""
        return Response(
            self.body(), self.status, headers=dict(self.headers), media_type=MEDIA_TYPE
        )


def listed(found: Iterable[Problem]) -> list[dict[str, object]]:
    """The ``errors`` member: where (JSON pointer and path), why, and a code."""
    return [
        {"pointer": one.pointer, "path": one.where, "code": one.code, "reason": one.reason}
        for one in found
    ]


def details_of(error: SwitchError) -> ProblemDetails:
    """What is answered when a use case raised ``error``: the one place that maps them."""
    match error:
        case problems.Rejected():
            return ProblemDetails("invalid", str(error)[:2000], listed(error.problems))
        case Invalid():
            found = [Problem(error.field, error.reason)]
            return ProblemDetails("invalid", str(error), listed(found))
        case problems.AlreadyExists():
            found = [Problem(error.field, str(error), "already_exists")]
            return ProblemDetails(
                "already_exists", str(error), listed(found), {"owner": error.owner}
            )
        case problems.InUse():
            return ProblemDetails("in_use", str(error), extra={"used_by": error.by})
        case problems.Stale():
            return ProblemDetails(
                "precondition_failed", str(error), headers={"etag": error.current}
            )
        case problems.Unauthenticated():
            return ProblemDetails(
                "unauthenticated", str(error), headers={"www-authenticate": "Bearer"}
            )
        case problems.Forbidden():
            return ProblemDetails("forbidden", str(error), extra={"scope": error.scope})
        case NoRate():
            return ProblemDetails("no_rate", str(error), extra={"end_reason": error.reason})
        case Unavailable():
            return ProblemDetails(
                "unavailable", str(error), extra={"what": error.what}, headers={"retry-after": "2"}
            )
        case _:
            return ProblemDetails(_CODES.get(type(error), "refused"), str(error))


_CODES: dict[type[SwitchError], str] = {
    problems.NotFound: "not_found",
    problems.KeyReused: "idempotency_mismatch",
    problems.InProgress: "idempotency_in_progress",
}

_OF_STATUS = {400: "malformed", 404: "no_such_path", 405: "method_not_allowed", 413: "too_large"}


def _validation(error: RequestValidationError) -> ProblemDetails:
    if any(one["type"] == "json_invalid" for one in error.errors()):
        return ProblemDetails("malformed", "the body is not JSON")
    errors = [
        {
            "pointer": _pointer(loc),
            "path": _path(loc),
            "in": str(loc[0]),
            "code": code,
            "reason": reason,
        }
        for one in error.errors()
        for loc, code, reason in _wrongs(one)
    ]
    return ProblemDetails("invalid", f"{errors[0]['path']}: {errors[0]['reason']}", errors)


def _wrongs(error: Mapping[str, Any]) -> Iterator[tuple[Sequence[object], str, str]]:
    """Where, the code and why, of one error of the framework's; options have many in one."""
    loc, code = error["loc"], error["type"]
    if code != OPTIONS:
        yield loc, code, str(error["msg"]).removeprefix("Value error, ")
        return
    for flaw in error["ctx"]["flaws"]:
        yield (*loc, *flaw.path), "invalid", flaw.reason


def _pointer(loc: Sequence[object]) -> str:
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in loc[1:]]
    return "".join(f"/{step}" for step in steps)


def _path(loc: Sequence[object]) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc[1:]]
    return "".join(steps).removeprefix(".")


def install(app: FastAPI) -> None:
    """Answer every error in this form, the framework's own included."""

    async def on_switch_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, SwitchError)
        return details_of(error).response()

    async def on_validation(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _validation(error).response()

    async def on_http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _OF_STATUS.get(error.status_code, "malformed")
        headers = dict(error.headers or {})
        return ProblemDetails(code, str(error.detail), headers=headers).response()

    async def on_crash(request: Request, error: Exception) -> Response:
        log.error("http.crashed", path=request.url.path, exc_info=error)
        return ProblemDetails("internal_error").response()

    app.add_exception_handler(SwitchError, on_switch_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_crash)
