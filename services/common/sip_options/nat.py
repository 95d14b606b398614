"""Where a peer is answered and asked, when what it writes of itself is not where it is."""

from __future__ import annotations

from typing import Literal

from services.common.sip_options.group import Group


class Nat(Group, frozen=True):
    """Addresses to believe; ``auto`` is right unless a NAT or a firewall in between is not."""

    reply_to: Literal["auto", "source", "source_ip_via_port", "via"] = "auto"
    """Where responses over UDP go. ``auto``: to the source port when it is asked for (rport,
    RFC 3581), else to the port in Via. ``via``: to address and port in Via."""
    request_to: Literal["auto", "source", "source_ip_contact_port", "contact"] = "auto"
    """Where requests inside a call go. ``auto``: to its Contact or first route, but not to a
    private address seen from outside. ``source``: where the call came from or went to."""
