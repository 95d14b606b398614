"""Sets the two ends of one call, and looks at what the switch made of it."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.lab import CALLER_HOST, Lab
from tests.support.ports import free_port
from tests.support.sipp import Sipp

_NUMBERS = itertools.count(4_930_000_000)


class Stage:
    """One call: SIPp as the customer and, by name, as the vendors."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.called = str(next(_NUMBERS))
        self.caller_host = CALLER_HOST
        self._folder = folder
        self._ends: list[Sipp] = []

    def vendor(self, scenario: str, name: str = "cheap", **how: Any) -> Sipp:
        """Start a vendor."""
        end = Sipp(self._folder, name, scenario, self.lab.vendors[name], **how)
        self._ends.append(end)
        return end.start()

    def caller(self, scenario: str, **how: Any) -> Sipp:
        """Start the customer."""
        local = (self.caller_host, free_port(self.caller_host))
        end = Sipp(
            self._folder, "caller", scenario, local, self.lab.sip, called=self.called, **how
        )
        self._ends.append(end)
        return end.start()

    def play(
        self, caller: str, vendors: Mapping[str, str], *, hold_ms: int = 300, timeout_s: int = 60
    ) -> dict[str, Any]:
        """One call from beginning to end; its record."""
        far = [
            self.vendor(scenario, name, hold_ms=hold_ms, timeout_s=timeout_s)
            for name, scenario in vendors.items()
        ]
        near = self.caller(caller, hold_ms=hold_ms, timeout_s=timeout_s)
        for end in (near, *far):
            status = end.wait()
            assert status == 0, f"{end.name} ended with {status}: {end.errors()}"
        return self.record()

    def record(self) -> dict[str, Any]:
        """The one record of the call, whole."""
        (row,) = self.lab.wait_cdrs(1, called=self.called)
        return dict(self.lab.get(f"/v1/cdrs/{row['call_id']}"))

    def close(self) -> None:
        """End what still runs."""
        for end in self._ends:
            end.stop()
