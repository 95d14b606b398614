"""``./tandem``: all commands of the switch."""

from deploy.local.cli.commands import app

app(prog_name="tandem")
