"""Start one relay worker: ``python -m services.media.adapters.relay CONTROL LISTENER ...``."""

import gc
import signal
import socket
import sys

from services.media.adapters.relay.records import Records
from services.media.adapters.relay.worker import Worker


def main() -> None:
    """Relay until told to end, or nobody is left to relay for.

    The arguments are descriptors, all but the first -1 for none: the control process, where the
    next one will connect, the supervisor (a pidfd), and the file of records.
    """
    # Ctrl-C reaches the whole process group: calls must go on while the service drains.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    control, listener, supervisor, records = map(int, sys.argv[1:])
    worker = Worker(
        socket.socket(fileno=control),
        None if listener < 0 else socket.socket(fileno=listener),
        supervisor,
        Records(records),
    )
    gc.freeze()
    # Endpoints break their own cycles when closed: full collections would only cost audio.
    gc.set_threshold(100_000, 50, 50)
    worker.run()


if __name__ == "__main__":
    main()
