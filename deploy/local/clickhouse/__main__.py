"""``python -m deploy.local.clickhouse --data DIR --port N``: the server as a process.

User and password come from ``TANDEM_CLICKHOUSE_USER`` and ``TANDEM_CLICKHOUSE_PASSWORD``, so that
they stand in no process list. Listens only once the data is open. SIGTERM and SIGINT stop it.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from deploy.local.clickhouse.engine import Engine
from deploy.local.clickhouse.errors import EngineRefused
from deploy.local.clickhouse.server import Server
from deploy.local.clickhouse.session import Credentials


def main() -> int:
    """Serve until told to stop; returns the exit status."""
    options = _options()
    credentials = Credentials(
        os.environ.get("TANDEM_CLICKHOUSE_USER", "default"),
        os.environ.get("TANDEM_CLICKHOUSE_PASSWORD", ""),
    )
    try:
        engine = Engine(options.data, fsync=not options.no_fsync)
        engine.create_database(options.database)
        server = Server(engine, credentials, host=options.host, port=options.port)
    except (EngineRefused, OSError) as error:
        sys.stderr.write(f"cannot serve {options.data}: {error}\n")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    server.serve()
    engine.close()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.clickhouse")
    parser.add_argument("--data", type=Path, required=True, help="where the databases live")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--database", default="default", help="made if there is none")
    parser.add_argument(
        "--no-fsync", action="store_true", help="faster, and loses rows when the power goes"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
