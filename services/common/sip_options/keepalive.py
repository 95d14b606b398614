"""What is sent so that NATs and firewalls keep the way open."""

from __future__ import annotations

from typing import Annotated

import msgspec

from services.common.sip_options.group import Group


class KeepAlive(Group, frozen=True):
    """Signs of life outside of calls."""

    crlf_s: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 0
    """Seconds between two CRLF CRLF (RFC 5626 section 4.4.1), by UDP or over a connection that
    is open; 0 = none. A customer is sent them where his last call came from."""
