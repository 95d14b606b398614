"""The command line itself; the modules beside this one add the commands."""

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="The Tandem softswitch. Start with [bold]tandem demo[/], then [bold]tandem up[/].",
)
