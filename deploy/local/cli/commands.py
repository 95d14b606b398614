"""The commands, each a thin use of the REST API."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from deploy.local.cli import describe
from deploy.local.cli.client import Failed, connect
from deploy.local.cli.explain import show_plan
from deploy.local.cli.options import DEFAULT_DATA, AsJson, Data, Key, Url
from deploy.local.cli.output import console, emit, seconds, table
from deploy.local.settings import Options

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="The Tandem softswitch. Start with [bold]tandem demo[/], then [bold]tandem up[/].",
)


@app.command("up")
def up_command(
    data: Data = DEFAULT_DATA,
    sip: Annotated[
        str,
        typer.Option(envvar="TANDEM_SIP", help="Addresses for SIP, udp and tcp; commas between."),
    ] = "127.0.0.1:5060",
    rtp: Annotated[
        str, typer.Option(envvar="TANDEM_RTP", help="Address and ports for audio.")
    ] = "127.0.0.1:12000-15000",
    http: Annotated[
        str, typer.Option(envvar="TANDEM_HTTP", help="Address of the API.")
    ] = "127.0.0.1:8080",
    admin_key: Annotated[
        str,
        typer.Option(envvar="TANDEM_ADMIN_KEY", help="The administrator's key; else one is made."),
    ] = "",
    drain: Annotated[
        float,
        typer.Option(envvar="TANDEM_DRAIN", help="Seconds answered calls may go on after Ctrl-C."),
    ] = 3600.0,
    nats_url: Annotated[
        str, typer.Option(envvar="TANDEM_NATS_URL", help="NATS of your own instead of ours.")
    ] = "",
    postgres_dsn: Annotated[
        str, typer.Option(envvar="TANDEM_POSTGRES_DSN", help="PostgreSQL of your own.")
    ] = "",
    clickhouse_dsn: Annotated[
        str, typer.Option(envvar="TANDEM_CLICKHOUSE_DSN", help="ClickHouse of your own.")
    ] = "",
) -> None:
    """Run the switch on this machine until Ctrl-C.

    Several run side by side when their data folders and addresses differ.
    """
    # Here, because the other commands start a quarter sooner without it.
    from deploy.local.cli import up

    options = Options(
        data=data,
        sip=tuple(part.strip() for part in sip.split(",") if part.strip()),
        rtp=rtp,
        http=http,
        admin_key=admin_key or None,
        nats_url=nats_url or None,
        postgres_dsn=postgres_dsn or None,
        clickhouse_dsn=clickhouse_dsn or None,
    )
    raise typer.Exit(up.run(options, drain))


@app.command()
def demo(
    data: Annotated[Path, typer.Option(envvar="TANDEM_DEMO_DATA", help="Its data folder.")] = Path(
        "build/demo"
    ),
    *,
    as_json: AsJson = False,
) -> None:
    """Start a switch, place a real billed call through it, and check everything about it."""
    from deploy.local.demo.run import run

    raise typer.Exit(run(data, as_json=as_json))


@app.command()
def apply(
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML that describes the switch.")],
    *,
    dry_run: Annotated[bool, typer.Option(help="Only show what would change.")] = False,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Make the switch as a file describes it: accounts, decks and rates, trunks, users, webhooks.

    Applied twice it changes nothing. What the file does not name stays as it is. With anything
    wrong in it, nothing is changed at all.
    """
    document = describe.read(file)
    answer = connect(url, key, data).post("/v1/apply", document, dry_run=str(dry_run).lower())
    emit(answer) if as_json else describe.show(answer)


@app.command()
def calls(
    *,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Calls in progress."""
    client = connect(url, key, data)
    rows = list(client.every("/v1/calls", limit=500))
    if as_json:
        emit(rows)
        return
    vendors = client.name_of("vendor_trunks")
    for row in rows:
        row["talk"] = seconds(row["talk_ms"])
        row["vendor"] = vendors.get(row["vendor_trunk_id"] or "", "")
    columns = [("call", "call_id"), ("state", "state"), ("caller", "caller"), ("called", "called")]
    table(rows, [*columns, ("vendor", "vendor"), ("tries", "attempts"), ("talk", "talk")])


@app.command()
def hangup(
    call_id: Annotated[str, typer.Argument(help="As shown by tandem calls.")],
    *,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """End a call in progress."""
    connect(url, key, data).request("POST", f"/v1/calls/{call_id}/hangup")
    emit({"call_id": call_id, "hung_up": True}) if as_json else console.print("hung up")


@app.command()
def cdrs(
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
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Call detail records, newest first."""
    client = connect(url, key, data)
    rows = []
    chosen = {
        "since": since, "till": till, "called": called, "caller": caller, "end_reason": reason,
        "answered": None if answered is None else str(answered).lower(),
    }  # fmt: skip
    for row in client.every("/v1/cdrs", limit=min(limit, 500), **chosen):
        rows.append(row)
        if len(rows) == limit:
            break
    if as_json:
        emit(rows)
        return
    for row in rows:
        row["talk"] = seconds(row["talk_ms"])
        row["at"] = row["invited_at"][:19]
    columns = [("invited", "at"), ("caller", "caller"), ("called", "called"), ("talk", "talk")]
    columns += [("reason", "end_reason"), ("sip", "sip_code_out"), ("price", "price")]
    table(rows, [*columns, ("cost", "cost"), ("call", "call_id")])


@app.command()
def simulate(
    trunk: Annotated[str, typer.Argument(help="Name of the customer trunk the call comes from.")],
    called: Annotated[str, typer.Argument(help="Number dialled.")],
    caller: Annotated[str, typer.Option(help="Number of the caller.")] = "",
    at: Annotated[
        str | None, typer.Option(help="Instant that decides the rates; RFC 3339.")
    ] = None,
    *,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Where a call would go, in which order, and why: by the very code that routes live calls."""
    order = {"customer_trunk": trunk, "called": called, "caller": caller}
    plan = connect(url, key, data).post("/v1/simulations", order | ({"at": at} if at else {}))
    emit(plan) if as_json else show_plan(plan)
    if plan["refused"]:
        raise typer.Exit(2)


@app.command()
def quote(
    durations: Annotated[list[int], typer.Argument(help="Seconds of talk.")],
    deck: Annotated[str | None, typer.Option(help="Name of a rate deck; with --number.")] = None,
    number: Annotated[str | None, typer.Option(help="Number to price against the deck.")] = None,
    price: Annotated[str | None, typer.Option(help="Per minute, instead of a deck.")] = None,
    next_price: Annotated[
        str | None, typer.Option(help="Per minute after the first interval.")
    ] = None,
    connect_fee: Annotated[str, typer.Option(help="Once per call.")] = "0",
    intervals: Annotated[str, typer.Option(help="First and next, in seconds.")] = "1/1",
    minimum: Annotated[str, typer.Option(help="Least price of an answered call.")] = "0",
    tax: Annotated[str, typer.Option(help="Percent.")] = "0",
    digits: Annotated[int, typer.Option(min=0, max=10, help="Decimals.")] = 6,
    rounding: Annotated[str, typer.Option(help="half_up, up or down.")] = "half_up",
    *,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """What calls of given lengths cost, by a deck and number or by a rate typed here."""
    client = connect(url, key, data)
    order: dict[str, object] = {
        "durations_s": durations,
        "tax_percent": tax,
        "rounding": {"mode": rounding, "digits": digits},
    }
    if deck:
        order |= {"rate_deck_id": client.id_of("rate_decks", deck), "number": number}
    elif price:
        first_s, _, next_s = intervals.partition("/")
        if not (first_s.isdigit() and next_s.isdigit()):
            raise Failed(f"--intervals: {intervals!r} is not first/next in seconds, such as 30/6")
        order["rate"] = {
            "first_price": price, "next_price": next_price or price, "connect_fee": connect_fee,
            "first_s": int(first_s), "next_s": int(next_s), "minimum": minimum,
        }  # fmt: skip
    else:
        raise Failed("give --deck and --number, or --price")
    answer = client.post("/v1/quotes", order)
    if as_json:
        emit(answer)
        return
    rows = [row | {"talk": seconds(row["duration_ms"])} for row in answer["quotes"]]
    columns = [("talk", "talk"), ("billed s", "billed_s"), ("amount", "amount"), ("tax", "tax")]
    table(rows, [*columns, (f"total {answer['currency']}", "total")])


@app.command()
def pay(
    account: Annotated[str, typer.Argument(help="Name of the account.")],
    amount: Annotated[str, typer.Argument(help="Decimal; negative pays out: write -- before it.")],
    note: Annotated[str, typer.Option(help="Kept with the payment.")] = "",
    payment_key: Annotated[
        str, typer.Option(help="Repeating a payment with the same key books it once.")
    ] = "",
    *,
    correction: Annotated[bool, typer.Option(help="A correction, not a payment.")] = False,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Book money received from, or paid to, an account."""
    client = connect(url, key, data)
    found = client.get(f"/v1/accounts/{client.id_of('accounts', account)}")
    order = {
        "account_id": found["id"],
        "amount": amount,
        "currency": found["currency"],
        "kind": "correction" if correction else "payment",
        "note": note,
    }
    answer = client.post("/v1/payments", order, key=payment_key or str(uuid.uuid4()))
    if as_json:
        emit(answer)
        return
    console.print(
        f"{answer['id']}: balance of {account} is {answer['balance']} {found['currency']}"
    )


@app.command("import-rates")
def import_rates(
    deck: Annotated[str, typer.Argument(help="Name of the rate deck.")],
    file: Annotated[Path, typer.Argument(help="CSV; columns are known by many names.")],
    mode: Annotated[str, typer.Option(help="full, partial or delete.")] = "partial",
    on_error: Annotated[str, typer.Option(help="abort, or skip the bad rows.")] = "abort",
    dates: Annotated[str, typer.Option(help="ymd, dmy or mdy.")] = "ymd",
    *,
    decimal_comma: Annotated[bool, typer.Option(help="Prices are written 0,01.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only check and count.")] = False,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Import a rate sheet of any length, all or nothing unless told otherwise."""
    client = connect(url, key, data)
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
    if as_json:
        emit(answer)
        return
    for one in answer["errors"]:
        console.print(f"[yellow]row {one['row']}, column {one['column']}: {one['reason']}[/]")
    counts = ", ".join(f"{answer[n]} {n}" for n in ("added", "changed", "unchanged", "ended"))
    console.print(f"{answer['rows']} rows: {counts}, {answer['error_count']} refused")


@app.command()
def ladder(
    call_id: Annotated[str, typer.Argument(help="As shown by tandem calls or tandem cdrs.")],
    *,
    raw: Annotated[bool, typer.Option(help="Whole messages, as on the wire.")] = False,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """The SIP messages of a call in progress, or of one that ended recently."""
    from deploy.local.cli.explain import show_ladder

    answer = connect(url, key, data).get(f"/v1/calls/{call_id}/ladder")
    emit(answer) if as_json else show_ladder(answer["steps"], raw=raw)


@app.command()
def vendors(
    *,
    as_json: AsJson = False,
    url: Url = "",
    key: Key = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Which vendors can be called, since when, and why not."""
    from deploy.local.cli.explain import show_vendors

    answer = connect(url, key, data).get("/v1/vendor_states")
    emit(answer) if as_json else show_vendors(answer["data"])
