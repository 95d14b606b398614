"""Routing decided outside, for a customer's calls; or the switch deciding for others."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from services.common.sip_options.group import Group

_PORT = r":([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_SERVER = (
    r"^(|sip:([A-Za-z0-9_.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
    rf"({_PORT})?(;transport=(udp|tcp|tls))?"
    r"|https?://[\x21-\x7e]{1,500})(?![\s\S])"
)

_WANTED = (
    "sip:HOST, sip:HOST:PORT or the same with ;transport=udp, tcp or tls,"
    " or an http or https URL, or empty"
)


class CustomerRouting(Group, frozen=True):
    """Who chooses the vendors of a call, and who tries them."""

    server: Annotated[str, msgspec.Meta(pattern=_SERVER, description=_WANTED)] = ""
    """SIP redirect server (``sip:192.0.2.5:5060``, or a name that DNS knows) or HTTP endpoint that
    is asked for the vendors of every call; empty = the switch decides."""
    timeout_ms: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 2_000
    """How long the server may take."""
    on_failure: Literal["internal", "refuse"] = "internal"
    """When it does not answer, or nothing usable: the switch decides, or the call is refused."""
    answer_with_redirect: bool = False
    """The customer is told the vendors (302, 300) instead of the call being placed."""
