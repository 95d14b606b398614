"""``tandem up``: the whole switch on this machine, until Ctrl-C."""

import signal
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
    stop = _on_signals(switch)
    try:
        switch.start()
    except (AlreadyRunning, StartFailed) as error:
        switch.wait()
        console.print("[yellow]stopped[/]" if stop.is_set() else f"[red]not started:[/] {error}")
        return 1
    addresses, folder = switch.addresses, options.data.resolve()
    console.print(f"\nSIP   {', '.join(addresses.sip)}\nRTP   {addresses.rtp}")
    console.print(f"API   http://{addresses.http}/docs\nKey   admin_key in {folder}/secrets.json")
    console.print(f"Logs  {folder}/logs\n\nCtrl-C drains; a second one ends at once.")
    while not stop.wait(0.5):
        if switch.wait(0):
            break
    console.print("\ndraining: no new calls, answered ones may finish")
    stopper = threading.Thread(target=switch.stop, kwargs={"drain_s": drain_s})
    stopper.start()
    while stopper.is_alive():
        stopper.join(0.5)
    console.print("stopped")
    return 0 if stop.is_set() else 1


def _on_signals(switch: LocalSwitch) -> threading.Event:
    """Set by the first Ctrl-C; the second ends the drain, or the start, at once."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            switch.hurry()
        elif not switch.is_started:
            # From a thread of its own: the main one is in start(), which this makes return.
            threading.Thread(target=switch.stop, daemon=True).start()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stop
