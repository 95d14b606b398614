"""Reliable provisional responses (RFC 3262), for each side on its own."""

from __future__ import annotations

from typing import Literal

from services.common.sip_options.group import Group


class Reliable(Group, frozen=True):
    """Whether ringing and early media are acknowledged by PRACK on this leg."""

    mode: Literal["off", "supported", "required"] = "off"
    """Customer: `supported` answers reliably whoever can take it, `required` refuses the others
    with 421. Vendor: `supported` offers it, `required` insists on it."""
