"""Commands about calls, in progress and recorded."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.local.cli.app import app
from deploy.local.cli.output import console, emit, seconds, table
from deploy.local.cli.session import Session, client_command


@app.command()
@client_command
def calls(session: Session) -> None:
    """Calls in progress."""
    client = session.client
    rows = list(client.every("/v1/calls", limit=500))
    if session.as_json:
        emit(rows)
        return
    vendors = client.name_of("vendor_trunks")
    for row in rows:
        row["talk"] = seconds(row["talk_ms"])
        row["vendor"] = vendors.get(row["vendor_trunk_id"] or "", "")
    columns = [("call", "call_id"), ("state", "state"), ("caller", "caller"), ("called", "called")]
    table(rows, [*columns, ("vendor", "vendor"), ("tries", "attempts"), ("talk", "talk")])


@app.command()
@client_command
def registrations(session: Session) -> None:
    """Who is registered here (in), and where the switch is registered (out)."""
    client = session.client
    rows = list(client.every("/v1/registrations", limit=500))
    if session.as_json:
        emit(rows)
        return
    names = client.name_of("vendor_trunks") | client.name_of("customer_trunks")
    for row in rows:
        row["trunk"] = names.get(row["customer_trunk_id"] or row["vendor_trunk_id"] or "", "")
        row["till"] = (row["expires_at"] or "")[:19]
    columns = [("", "direction"), ("username", "username"), ("trunk", "trunk")]
    columns += [("state", "state"), ("contact", "contact"), ("from / at", "source")]
    table(rows, [*columns, ("till", "till"), ("sip", "status")])


@app.command()
@client_command
def hangup(
    session: Session,
    call_id: Annotated[str, typer.Argument(help="As shown by tandem calls.")],
) -> None:
    """End a call in progress."""
    session.client.request("POST", f"/v1/calls/{call_id}/hangup")
    emit({"call_id": call_id, "hung_up": True}) if session.as_json else console.print("hung up")


@app.command()
@client_command
def cdrs(
    session: Session,
    since: Annotated[
        str | None, typer.Option(help="RFC 3339, for instance 2030-01-31T00:00:00Z.")
    ] = None,
    till: Annotated[str | None, typer.Option(help="RFC 3339, exclusive.")] = None,
    called: Annotated[
        str | None, typer.Option(help="Digits the called number begins with.")
    ] = None,
    caller: Annotated[str | None, typer.Option(help="Digits the caller begins with.")] = None,
    reason: Annotated[str | None, typer.Option(help="End reason, for instance busy.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    *,
    answered: Annotated[
        bool | None, typer.Option(help="Only answered, or only unanswered.")
    ] = None,
) -> None:
    """Call detail records, newest first."""
    client = session.client
    rows = []
    chosen = {
        "since": since, "till": till, "called": called, "caller": caller, "end_reason": reason,
        "answered": None if answered is None else str(answered).lower(),
    }  # fmt: skip
    for row in client.every("/v1/cdrs", limit=min(limit, 500), **chosen):
        rows.append(row)
        if len(rows) == limit:
            break
    if session.as_json:
        emit(rows)
        return
    for row in rows:
        row["talk"] = seconds(row["talk_ms"])
        row["at"] = row["invited_at"][:19]
        # Of calls that were summed, a record stands for many.
        row["calls"] = row["call_count"] if row["call_count"] > 1 else None
    columns = [("invited", "at"), ("caller", "caller"), ("called", "called"), ("talk", "talk")]
    columns += [("reason", "end_reason"), ("sip", "sip_code_out"), ("price", "price")]
    if any(row["calls"] for row in rows):
        columns.append(("calls", "calls"))
    table(rows, [*columns, ("cost", "cost"), ("call", "call_id")])


@app.command()
@client_command
def ladder(
    session: Session,
    call_id: Annotated[str, typer.Argument(help="As shown by tandem calls or tandem cdrs.")],
    *,
    raw: Annotated[bool, typer.Option(help="Whole messages, as on the wire.")] = False,
    pcap: Annotated[
        Path | None, typer.Option(help="Write a packet capture for Wireshark to this file.")
    ] = None,
) -> None:
    """The SIP messages of a call in progress, or of one that ended recently."""
    from deploy.local.cli.explain import show_ladder

    if pcap is not None:
        capture = session.client.request("GET", f"/v1/calls/{call_id}/ladder.pcap")
        pcap.write_bytes(capture.content)
        return
    answer = session.client.get(f"/v1/calls/{call_id}/ladder")
    emit(answer) if session.as_json else show_ladder(answer["steps"], raw=raw)


@app.command()
@client_command
def vendors(session: Session) -> None:
    """Which vendors can be called, since when, and why not."""
    from deploy.local.cli.explain import show_vendors

    answer = session.client.get("/v1/vendor_states")
    emit(answer) if session.as_json else show_vendors(answer["data"])
