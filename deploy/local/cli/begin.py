"""Commands that start a switch on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.local.cli.app import app
from deploy.local.cli.options import DEFAULT_DATA, AsJson, Data
from deploy.local.settings import Options


@app.command("up")
def up_command(
    data: Data = DEFAULT_DATA,
    sip: Annotated[
        str,
        typer.Option(
            envvar="TANDEM_SIP",
            help="Addresses for SIP: host:port (udp and tcp), tls:host:port, ..; commas between.",
        ),
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
