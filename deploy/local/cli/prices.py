"""Commands that place no call: simulate and quote."""

from typing import Annotated

import typer

from deploy.local.cli.app import app
from deploy.local.cli.client import Failed
from deploy.local.cli.explain import show_plan
from deploy.local.cli.output import emit, seconds, table
from deploy.local.cli.session import Session, client_command


@app.command()
@client_command
def simulate(
    session: Session,
    trunk: Annotated[str, typer.Argument(help="Name of the customer trunk the call comes from.")],
    called: Annotated[str, typer.Argument(help="Number dialled.")],
    caller: Annotated[str, typer.Option(help="Number of the caller.")] = "",
    at: Annotated[
        str | None, typer.Option(help="Instant that decides the rates; RFC 3339.")
    ] = None,
) -> None:
    """Where a call would go, in which order, and why: by the very code that routes live calls."""
    order = {"customer_trunk": trunk, "called": called, "caller": caller}
    plan = session.client.post("/v1/simulations", order | ({"at": at} if at else {}))
    emit(plan) if session.as_json else show_plan(plan)
    if plan["refused"]:
        raise typer.Exit(2)


@app.command()
@client_command
def quote(
    session: Session,
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
) -> None:
    """What calls of given lengths cost, by a deck and number or by a rate typed here."""
    client = session.client
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
    if session.as_json:
        emit(answer)
        return
    rows = [row | {"talk": seconds(row["duration_ms"])} for row in answer["quotes"]]
    columns = [("talk", "talk"), ("billed s", "billed_s"), ("amount", "amount"), ("tax", "tax")]
    table(rows, [*columns, (f"total {answer['currency']}", "total")])
