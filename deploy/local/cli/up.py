"""``tandem up``: the whole switch on this machine, until Ctrl-C."""

import signal
import sys
import threading
from types import FrameType

from deploy.local.cli.output import console
from deploy.local.errors import AlreadyRunning, StartFailed
from deploy.local.settings import Options
from deploy.local.supervisor import Phase, Progress
from deploy.local.switch import LocalSwitch


def show(progress: Progress) -> None:
    """One line for every step of the start, and for every process that died."""
    mark = {Phase.READY: "[green]ready[/]", Phase.STARTING: "starting"}.get(
        progress.phase, f"[yellow]{progress.phase.value}[/]"
    )
    console.print(f"  {progress.name:<11}{mark} {progress.detail}".rstrip())


def run(options: Options, drain_s: float) -> int:
    """Start, wait for a signal, drain. The exit status."""
    switch = LocalSwitch(options, show)
    try:
        switch.start()
    except (AlreadyRunning, StartFailed) as error:
        console.print(f"[red]not started:[/] {error}")
        return 1
    addresses = switch.addresses
    console.print(f"\nSIP   {', '.join(addresses.sip)} (udp, tcp)\nRTP   {addresses.rtp}")
    console.print(f"API   http://{addresses.http}/docs")
    console.print(f"Key   admin_key in {options.data.resolve()}/secrets.json")
    console.print(
        f"Logs  {options.data.resolve()}/logs\n\nCtrl-C drains; a second one ends at once."
    )
    _wait_for_signal(switch, drain_s)
    return 0


def _wait_for_signal(switch: LocalSwitch, drain_s: float) -> None:
    asked = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            switch.hurry()
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    while not asked.wait(0.5):
        if switch.wait(0):
            switch.stop()
            sys.exit(1)
    console.print("\ndraining: no new calls, answered ones may finish")
    stopper = threading.Thread(target=switch.stop, kwargs={"drain_s": drain_s})
    stopper.start()
    while stopper.is_alive():
        stopper.join(0.5)
    console.print("stopped")
