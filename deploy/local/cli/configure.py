"""Commands that change the switch: apply, pay, import-rates."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from deploy.local.cli import describe
from deploy.local.cli.app import app
from deploy.local.cli.client import Failed
from deploy.local.cli.output import console, emit
from deploy.local.cli.session import Session, client_command


@app.command()
@client_command
def apply(
    session: Session,
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML that describes the switch.")],
    *,
    dry_run: Annotated[bool, typer.Option(help="Only show what would change.")] = False,
) -> None:
    """Make the switch as a file describes it: accounts, decks and rates, trunks, users, webhooks.

    Applied twice it changes nothing. What the file does not name stays as it is. With anything
    wrong in it, nothing is changed at all.
    """
    document = describe.read(file)
    answer = session.client.post("/v1/apply", document, dry_run=str(dry_run).lower())
    emit(answer) if session.as_json else describe.show(answer)


@app.command()
@client_command
def pay(
    session: Session,
    account: Annotated[str, typer.Argument(help="Name of the account.")],
    amount: Annotated[str, typer.Argument(help="Decimal; negative pays out: write -- before it.")],
    note: Annotated[str, typer.Option(help="Kept with the payment.")] = "",
    payment_key: Annotated[
        str, typer.Option(help="Repeating a payment with the same key books it once.")
    ] = "",
    *,
    correction: Annotated[bool, typer.Option(help="A correction, not a payment.")] = False,
) -> None:
    """Book money received from, or paid to, an account."""
    client = session.client
    found = client.get(f"/v1/accounts/{client.id_of('accounts', account)}")
    order = {
        "account_id": found["id"],
        "amount": amount,
        "currency": found["currency"],
        "kind": "correction" if correction else "payment",
        "note": note,
    }
    answer = client.post("/v1/payments", order, key=payment_key or str(uuid.uuid4()))
    if session.as_json:
        emit(answer)
        return
    console.print(
        f"{answer['id']}: balance of {account} is {answer['balance']} {found['currency']}"
    )


@app.command("import-rates")
@client_command
def import_rates(
    session: Session,
    deck: Annotated[str, typer.Argument(help="Name of the rate deck.")],
    file: Annotated[Path, typer.Argument(help="CSV; columns are known by many names.")],
    mode: Annotated[str, typer.Option(help="full, partial or delete.")] = "partial",
    on_error: Annotated[str, typer.Option(help="abort, or skip the bad rows.")] = "abort",
    dates: Annotated[str, typer.Option(help="ymd, dmy or mdy.")] = "ymd",
    *,
    decimal_comma: Annotated[bool, typer.Option(help="Prices are written 0,01.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only check and count.")] = False,
) -> None:
    """Import a rate sheet of any length, all or nothing unless told otherwise."""
    client = session.client
    deck_id = client.id_of("rate_decks", deck)
    how = {"mode": mode, "on_error": on_error, "dates": dates}
    how |= {"dry_run": str(dry_run).lower(), "decimal_comma": str(decimal_comma).lower()}
    try:
        sheet = file.open("rb")
    except OSError as error:
        raise Failed(str(error)) from error
    with sheet:
        response = client.request(
            "POST", f"/v1/rate_decks/{deck_id}/imports",
            params=how, content=sheet, headers={"Content-Type": "text/csv"},
        )  # fmt: skip
    answer = response.json()
    if session.as_json:
        emit(answer)
        return
    for one in answer["errors"]:
        console.print(f"[yellow]row {one['row']}, column {one['column']}: {one['reason']}[/]")
    counts = ", ".join(f"{answer[n]} {n}" for n in ("added", "changed", "unchanged", "ended"))
    console.print(f"{answer['rows']} rows: {counts}, {answer['error_count']} refused")
