"""What all groups of options have in common."""

from __future__ import annotations

import msgspec


class Group(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A set of options; one that nobody knows is an error, not a silent loss."""
