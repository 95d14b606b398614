"""Public programs that route a call, measured by the same load in the same run."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.sipp import Address

_KAMAILIO = """
debug=0
log_stderror=yes
fork=yes
children=1
tcp_children=1
listen=udp:{listen[0]}:{listen[1]}
auto_aliases=no
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "rr.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {{
  if (has_totag()) {{
    if (loose_route()) {{ t_relay(); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
    sl_send_reply("404", "Not here");
    exit;
  }}
  if (is_method("INVITE")) record_route();
  $du = "sip:{vendor[0]}:{vendor[1]}";
  t_relay();
}}
"""


def _answers(address: Address) -> bool:
    """Whether anything has bound the UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return True
        return False


@contextmanager
def _running(command: list[str], listen: Address, folder: Path) -> Iterator[list[int]]:
    with (folder / "peer.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            deadline = time.monotonic() + 10
            while not _answers(listen):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "peer.log").read_text()[-2000:])
                time.sleep(0.05)
            yield [process.pid, *_children(process.pid)]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in tasks]


def kamailio_installed() -> bool:
    """Whether Debian's kamailio is on this machine."""
    return shutil.which("kamailio") is not None


@contextmanager
def kamailio(listen: Address, vendor: Address, folder: Path) -> Iterator[list[int]]:
    """Kamailio as a stateful proxy, as Debian configures it; yields its processes."""
    program = shutil.which("kamailio")
    assert program
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kamailio.cfg").write_text(_KAMAILIO.format(listen=listen, vendor=vendor))
    command = [program, "-f", "kamailio.cfg", "-DD", "-E", "-m", "256", "-M", "16"]
    command += ["-Y", str(folder), "-w", str(folder)]
    with _running(command, listen, folder) as pids:
        yield pids


def sippy_installed() -> bool:
    """Whether the Sippy B2BUA is in this environment."""
    return Path(sys.executable).with_name("b2bua_simple").exists()


@contextmanager
def sippy(listen: Address, vendor: Address, folder: Path) -> Iterator[list[int]]:
    """The Sippy B2BUA, without rating or media; yields its process."""
    folder.mkdir(parents=True, exist_ok=True)
    program = str(Path(sys.executable).with_name("b2bua_simple"))
    command = [sys.executable, program, "-f", "-l", listen[0], "-p", str(listen[1])]
    command += ["-n", f"{vendor[0]}:{vendor[1]}", "-L", str(folder / "sippy.log")]
    with _running(command, listen, folder) as pids:
        yield pids
