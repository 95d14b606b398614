"""Runs SIPp as the far ends of the switch, and reads what it says about the calls."""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

Address = tuple[str, int]


@dataclass
class Sipp:
    """One SIPp process; ``folder`` keeps its scenario and its logs."""

    folder: Path
    name: str
    scenario: str
    local: Address
    remote: Address | None = None
    calls: int = 1
    rate: float = 10
    hold_ms: int = 0
    called: str = "4912345678"
    caller: str = "15551230000"
    limit: int = 2000
    transport: str = "u1"
    timeout_s: int = 60
    extra: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Sipp":
        """Run it in the background."""
        program = shutil.which("sipp")
        assert program, "SIPp is not installed: apt-get install sip-tester"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{self.name}.xml").write_text(self.scenario)
        (self.folder / f"{self.name}.csv").write_text(f"SEQUENTIAL\n{self.caller};\n")
        command = [
            program,
            *([_written(self.remote)] if self.remote else []),
            *("-sf", f"{self.name}.xml", "-inf", f"{self.name}.csv", "-s", self.called),
            *("-i", self.local[0], "-p", str(self.local[1]), "-t", self.transport),
            *("-m", str(self.calls), "-r", str(self.rate), "-l", str(self.limit)),
            *("-d", str(self.hold_ms), "-nostdin", "-timeout", f"{self.timeout_s}s"),
            *("-trace_logs", "-log_file", f"{self.name}.log", "-log_overwrite", "true"),
            *("-trace_err", "-error_file", f"{self.name}.err"),
            *("-trace_screen", "-screen_file", f"{self.name}.screen"),
            *("-timeout_error", "-recv_timeout", "40000"),
            *self.extra,
        ]
        with (self.folder / f"{self.name}.out").open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        return self

    def wait(self) -> int:
        """Exit status: 0 when every call went as the scenario says."""
        assert self._process is not None
        return self._process.wait(timeout=self.timeout_s + 30)

    def stop(self) -> None:
        """End it, finished or not."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def errors(self) -> str:
        """What SIPp complained about."""
        path = self.folder / f"{self.name}.err"
        return path.read_text(errors="replace")[:4000] if path.exists() else ""

    def marks(self) -> dict[str, dict[str, int]]:
        """``call-id -> what -> clock`` in milliseconds, as logged by the scenario."""
        seen: dict[str, dict[str, int]] = {}
        text = (self.folder / f"{self.name}.log").read_text()
        for call_id, what, clock in re.findall(r"^(\S+) (\w+) (\d+)\s*$", text, re.MULTILINE):
            seen.setdefault(call_id, {})[what] = int(clock)
        return seen


def _written(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
