"""``tandem demo``: a switch of its own, one billed call through it, and every claim checked."""

import asyncio
import threading
import time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TypeVar

import yaml

from deploy.local.cli.client import Client, Failed, Json
from deploy.local.cli.explain import show_considered, show_ladder
from deploy.local.cli.output import console, emit
from deploy.local.cli.up import show
from deploy.local.demo.call import CALLED_NUMBER, HOST, Ends, Outcome, place
from deploy.local.demo.phone import Refused
from deploy.local.demo.report import Report
from deploy.local.errors import AlreadyRunning, StartFailed
from deploy.local.ports import Ports
from deploy.local.settings import Options
from deploy.local.switch import LocalSwitch

TALK_S = 3.0
PAYMENT = "10"
DESCRIPTION = Path(__file__).with_name("switch.yaml")

T = TypeVar("T")


def run(data: Path, *, as_json: bool) -> int:
    """Everything, from nothing; 0 only when every check holds."""
    with Ports() as ports:
        return _run(data, ports.choose(("sip", "http"), {}), as_json=as_json)


def _run(data: Path, ports: dict[str, int], *, as_json: bool) -> int:
    begun = time.monotonic()
    options = Options(
        data=data,
        sip=(f"{HOST}:{ports['sip']}",),
        rtp=f"{HOST}:16000-16999",
        http=f"{HOST}:{ports['http']}",
    )
    console.quiet = as_json
    console.print("[bold]starting the switch[/]")
    try:
        with LocalSwitch(options, show) as switch:
            client = Client(f"http://{options.http}", switch.addresses.admin_key)
            report = asyncio.run(_demonstrate(client, (HOST, ports["sip"])))
            console.print("[bold]stopping[/]")
    except (AlreadyRunning, StartFailed) as error:
        console.print(f"[red]not started:[/] {error}")
        return 1
    except (Refused, TimeoutError) as error:
        console.print(f"[red]the call failed:[/] {error!r}; see {data}/logs")
        return 1
    console.print(f"{report.passed} of {len(report.checks)} checks hold, ", end="")
    console.print(f"{time.monotonic() - begun:.1f} s; data and logs are in {data}")
    if as_json:
        emit(report.document())
    return 0 if report.is_good else 1


async def _demonstrate(client: Client, switch: tuple[str, int]) -> Report:
    ends = Ends()
    await ends.open(switch)
    try:
        await asyncio.to_thread(_describe, client, ends)
        await ends.caller.wait_known()
        await asyncio.to_thread(_eventually, partial(_is_routed, client))
        before = await asyncio.to_thread(_balances, client)
        console.print(f"\n[bold]calling {CALLED_NUMBER}[/], {TALK_S:.0f} s of audio each way")
        outcome = await place(ends, TALK_S)
        return await asyncio.to_thread(_examine, client, outcome, before)
    finally:
        ends.close()


def _describe(client: Client, ends: Ends) -> None:
    """One customer with money, two vendors."""
    document: Json = yaml.safe_load(DESCRIPTION.read_text())
    cheap, dear = document["vendor_trunks"]
    cheap["port"], dear["port"] = ends.cheap.port, ends.dear.port
    document["customer_trunks"][0]["addresses"] = [f"{HOST}:{ends.caller.port}"]
    client.post("/v1/apply", document)
    customer = client.id_of("accounts", "demo-customer")
    order = {"account_id": customer, "amount": PAYMENT, "currency": "EUR", "note": "demo"}
    client.post("/v1/payments", order)


def _is_routed(client: Client) -> bool | None:
    """Whether routing has learned of the vendors."""
    order = {"customer_trunk": "demo-trunk", "called": CALLED_NUMBER}
    return len(client.post("/v1/simulations", order)["candidates"]) == 2 or None


def _balances(client: Client) -> dict[str, Decimal]:
    return {
        row["name"]: Decimal(row["balance"])
        for row in client.every("/v1/accounts")
        if row["name"].startswith("demo-")
    }


def _examine(client: Client, outcome: Outcome, before: dict[str, Decimal]) -> Report:
    """Read everything back through the API, show it, and check it."""
    record = _eventually(partial(_record, client, outcome.sip_call_id))
    after = _eventually(partial(_settled, client, before, record))
    ladder = client.get(f"/v1/calls/{record['call_id']}/ladder")["steps"]
    console.print("\n[bold]SIP ladder[/]")
    show_ladder(ladder)
    console.print("\n[bold]why it went there[/]")
    show_considered(record["explanation"]["considered"])
    for number, attempt in enumerate(record["attempts"], start=1):
        console.print(
            f"  try {number}: {attempt['target']} -> {attempt['sip_code']} "
            f"{attempt.get('end_reason', '')}"
        )
    report = Report(outcome, record, ladder, before, after)
    report.print(console)
    return report


def _record(client: Client, sip_call_id: str) -> Json | None:
    for row in client.get("/v1/cdrs", limit=10, called=CALLED_NUMBER)["data"]:
        if row["sip_call_id"] == sip_call_id:
            return client.get(f"/v1/cdrs/{row['call_id']}")
    return None


def _settled(
    client: Client, before: dict[str, Decimal], record: Json
) -> dict[str, Decimal] | None:
    after = _balances(client)
    moved = before["demo-customer"] - after["demo-customer"]
    return after if moved == Decimal(record["price"]) else None


def _eventually(look: "partial[T | None]", within_s: float = 15.0) -> T:
    pause, deadline = threading.Event(), time.monotonic() + within_s
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise Failed(f"it did not happen within {within_s:.0f} s: {look.func.__name__}")
        pause.wait(0.1)
    return found
