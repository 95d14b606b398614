"""``tandem guard``: who is kept out, and why."""

from typing import Annotated

import typer

from deploy.local.cli.app import app
from deploy.local.cli.client import connect
from deploy.local.cli.options import DEFAULT_DATA, AsJson, Data, Key, Url
from deploy.local.cli.output import console, emit, table

group = typer.Typer(
    invoke_without_command=True,
    help="Bans, counters and meters; ban, unban, and rules for a firewall of your own.",
)
app.add_typer(group, name="guard")

_BAN_COLUMNS = [("banned", "target"), ("for s", "seconds_left"), ("because", "reason")]
_SOURCE_COLUMNS = [
    ("source", "source"), ("calls/s", "cps"), ("usually", "baseline_cps"), ("floods", "flooding"),
]  # fmt: skip


@group.callback()
def show(
    context: typer.Context,
    *,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Show bans, counters since the start, and who sent most within the last minute."""
    if context.invoked_subcommand is not None:
        return
    client = connect(url, key, data)
    answer = client.get("/v1/guard")
    if as_json:
        emit(answer)
        return
    names = client.name_of("customer_trunks")
    for node in answer["nodes"]:
        console.print(
            f"[bold]{node['node']}[/] lets in {node['admitted_share']:.0%} of new calls,"
            f" messages wait {node['queue_age_ms']} ms, firewall {node['firewall']}"
        )
        if node["bans"]:
            table(node["bans"], [*_BAN_COLUMNS, ("dropped", "hits")])
        else:
            console.print("nobody is banned")
        for source in node["sources"]:
            source["source"] = names.get(source["source"], source["source"])
        if node["sources"]:
            table(node["sources"], _SOURCE_COLUMNS)
        counted = [
            {"kind": kind, **one} for kind, rows in node["last_minute"].items() for one in rows
        ]
        if counted:
            table(counted, [("last minute", "kind"), ("of", "key"), ("count", "count")])
        totals = [{"what": what, "count": count} for what, count in node["counters"].items()]
        table(totals, [("since the start", "what"), ("count", "count")])


@group.command()
def ban(
    target: Annotated[str, typer.Argument(help="Address, or a /24 (IPv4) or /64 (IPv6).")],
    seconds: Annotated[int, typer.Option("--for", min=1, help="Seconds.")] = 3600,
    *,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Keep an address or network out."""
    order = {"target": target, "seconds": seconds}
    answer = connect(url, key, data).post("/v1/guard/bans", order)
    if as_json:
        emit(answer)
    else:
        console.print(f"{answer['target']} is banned for {answer['seconds']} s")


@group.command()
def unban(
    target: Annotated[str, typer.Argument(help="As shown by tandem guard.")],
    *,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Let an address or network in again."""
    connect(url, key, data).request("DELETE", f"/v1/guard/bans/{target}")
    emit({"target": target, "unbanned": True}) if as_json else console.print("unbanned")


@group.command()
def rules(
    form: Annotated[
        str, typer.Option("--format", help="nftables, or iptables for iptables-restore.")
    ] = "nftables",
    *,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Print the rules, for a firewall that you load yourself."""
    client = connect(url, key, data)
    response = client.request("GET", "/v1/guard/rules", params={"format": form})
    typer.echo(response.text, nl=False)
