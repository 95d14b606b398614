"""The settings of the whole switch that signaling goes by."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from services.common.digest import ALGORITHMS
from services.signaling.core.guard import GuardRules


class SwitchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """By the names under which operators set them, with what holds while they do not."""

    authentication_max_retry: int = 6
    authentication_failed_suspend_s: int = 180
    unknown_source_limit: int = 30
    flood_autopilot: bool = True
    record_zero_hold_time: bool = True
    record_illegal_calls: bool = False
    reply_to_unknown: bool = False
    trace_all: bool = False
    trace_prefixes: str = ""
    sip_realm: str = "sip"
    sip_digest_algorithms: str = ",".join(ALGORITHMS)

    @property
    def digest_algorithms(self) -> tuple[str, ...]:
        """What digest offers, best first."""
        named = dict.fromkeys(self.sip_digest_algorithms.split(","))
        return tuple(name for name in named if name in ALGORITHMS) or ALGORITHMS

    @property
    def guard_rules(self) -> GuardRules:
        """For :class:`services.signaling.core.guard.Guard`."""
        return GuardRules(
            max_retry=self.authentication_max_retry,
            suspend_s=self.authentication_failed_suspend_s,
            unknown_limit=self.unknown_source_limit,
        )


def read_settings(stored: Mapping[str, object]) -> SwitchSettings:
    """What is stored, less what is not for signaling or makes no sense: that has its default."""
    chosen: dict[str, object] = {}
    for name in SwitchSettings.__struct_fields__:
        default = getattr(SwitchSettings(), name)
        # A whole number is stored as such, and true is none.
        if type(stored.get(name)) is type(default):
            chosen[name] = stored[name]
    return msgspec.convert(chosen, SwitchSettings)
