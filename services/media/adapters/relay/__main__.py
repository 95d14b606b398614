"""Start one relay worker: ``python -m services.media.adapters.relay DESCRIPTOR``."""

import gc
import signal
import socket
import sys

from services.media.adapters.relay.worker import Worker


def main() -> None:
    """Relay until the control process at the other end of the descriptor is gone."""
    # Ctrl-C reaches the whole process group: calls must go on while the service drains.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    worker = Worker(socket.socket(fileno=int(sys.argv[1])))
    gc.freeze()
    # Endpoints break their own cycles when closed: full collections would only cost audio.
    gc.set_threshold(100_000, 50, 50)
    worker.run()


if __name__ == "__main__":
    main()
