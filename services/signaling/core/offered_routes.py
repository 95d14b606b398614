"""What a routing server answers: vendors by name, a refusal, or nothing that can be used."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from services.signaling.core.redirects import redirected_to
from services.signaling.core.values import OfferedRoute
from services.signaling.sip.headers import readable
from services.signaling.sip.message import Response
from services.signaling.sip.uri import SipUri, unescape

MOST_ROUTES: Final = 100
LONGEST_CALL_S: Final = 31_536_000

_Text = Annotated[str, msgspec.Meta(max_length=200)]
_NOT_A_VERDICT: Final = frozenset({401, 407, 408})
"""Refusals that concern the server and us: the call was not judged."""


class Refusal(NamedTuple):
    """The server does not want the call placed."""

    status: int
    text: str = ""


Ruling = tuple[OfferedRoute, ...] | Refusal
"""Routes in order, never none; or a refusal."""


class _Route(msgspec.Struct):
    vendor_trunk: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    called: _Text | None = None
    caller: _Text | None = None
    max_call_s: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_CALL_S)] | None = None


class _Refuse(msgspec.Struct):
    status: Annotated[int, msgspec.Meta(ge=400, le=699)] = 403
    reason: _Text = ""


class _Answer(msgspec.Struct):
    routes: Annotated[list[_Route], msgspec.Meta(min_length=1, max_length=MOST_ROUTES)] | None = (
        None
    )
    refuse: _Refuse | None = None


_decoder = msgspec.json.Decoder(_Answer)


def from_json(body: bytes) -> Ruling | None:
    """The answer of an HTTP endpoint; ``None`` for anything but routes or a refusal."""
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if (answer.routes is None) == (answer.refuse is None):
        return None
    if answer.refuse is not None:
        return Refusal(answer.refuse.status, answer.refuse.reason)
    return tuple(
        OfferedRoute(
            vendor=route.vendor_trunk,
            called=route.called or "",
            caller=route.caller,
            max_call_s=route.max_call_s or 0,
        )
        for route in answer.routes or ()
    )


def from_response(response: Response) -> Ruling | None:
    """The final response of a SIP redirect server; ``None`` for one that says nothing."""
    status = response.status
    if 300 <= status < 400:
        return tuple([_offered(uri) for uri in redirected_to(response)]) or None
    is_verdict = (400 <= status < 500 or status >= 600) and status not in _NOT_A_VERDICT
    return Refusal(status) if is_verdict else None


def _offered(uri: SipUri) -> OfferedRoute:
    """``sip:number@host;vendor_trunk=...;caller=...;max_call_s=...`` or ``?X-Vendor-Trunk=...``.

    Without a name the host, as configured at the vendor trunk, stands for it.
    """
    params = uri.params
    port = "" if uri.port is None else f":{uri.port}"
    vendor = unescape(params.get("vendor_trunk") or "") or _header(uri) or uri.host + port
    seconds = params.get("max_call_s") or ""
    is_limit = seconds.isascii() and seconds.isdigit() and len(seconds) <= 8
    caller = params.get("caller")
    return OfferedRoute(
        vendor=readable(vendor)[:200],
        called=readable(uri.number)[:200],
        caller=None if caller is None else readable(unescape(caller))[:200],
        max_call_s=min(int(seconds), LONGEST_CALL_S) if is_limit else 0,
    )


def _header(uri: SipUri) -> str:
    """The one URI header that is read: it names a trunk of ours and goes nowhere else."""
    for pair in uri.headers.split("&"):
        name, _, value = pair.partition("=")
        if name.lower() == "x-vendor-trunk":
            return unquote(value)
    return ""
