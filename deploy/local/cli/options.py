"""The options commands share: each is also a ``TANDEM_*`` variable."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path, typer.Option(envvar="TANDEM_DATA", help="Folder of the switch on this machine.")
]
Url = Annotated[
    str, typer.Option(envvar="TANDEM_URL", help="The API; default: the one on this machine.")
]
Key = Annotated[
    str,
    typer.Option(
        envvar=["TANDEM_KEY", "TANDEM_ADMIN_KEY"],
        help="API key; default: the administrator's, read from --data.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

DEFAULT_DATA = Path("data")
