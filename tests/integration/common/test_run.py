"""A whole process: started, asked over HTTP, drained, killed by its own bug."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 30.0

_SERVICE = """
import asyncio, gc, sys
from services.common.run import run_service
from services.common.settings import ServiceSettings

class Toy:
    def __init__(self, settings, telemetry):
        self.idle = asyncio.Event()
        telemetry.counter("greetings", "Greetings", lambda: 3)
        telemetry.gauge("collected_at", "Allocations", lambda: gc.get_threshold()[0])
        telemetry.gauge("frozen", "Objects", gc.get_freeze_count)

    async def start(self, tasks):
        if "waits" in sys.argv:
            print("waiting", flush=True)
            await asyncio.Event().wait()
        if "crashes" in sys.argv:
            tasks.create_task(self.crash())
        print("started", flush=True)

    async def crash(self):
        raise ZeroDivisionError("a bug of ours")

    async def drain(self):
        print("draining", flush=True)
        if "busy" in sys.argv:
            await self.idle.wait()

    async def close(self):
        print("closed", flush=True)

    def ready(self):
        return {"toy": "unready" not in sys.argv}

    def notes(self):
        return {}

run_service("toy", ServiceSettings, Toy)
"""


class Toy:
    """The process, and what it says on stdout."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self._port = port

    def says(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def status(self) -> int:
        return self._process.wait(PATIENCE_S)

    def log(self) -> list[dict[str, object]]:
        assert self._process.stderr is not None
        return [json.loads(line) for line in self._process.stderr.read().splitlines()]

    def asks(self, path: str, *, method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextmanager
def toy(port: int, *behaviour: str) -> Iterator[Toy]:
    environment = {**os.environ, "TANDEM_OPS_ADDRESS": f"127.0.0.1:{port}", "TANDEM_NODE": "toy-1"}
    with subprocess.Popen(
        [sys.executable, "-c", _SERVICE, *behaviour],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Toy(process, port)
        finally:
            process.kill()


def test_life_from_start_to_drain(free_port: int) -> None:
    with toy(free_port) as process:
        assert process.says() == "started"
        assert process.asks("/livez")[0] == 200
        status, body = process.asks("/metrics")
        assert status == 200
        assert "tandem_toy_greetings_total 3.0" in body
        process.signal(signal.SIGTERM)
        assert process.says() == "draining"
        assert process.says() == "closed"
        assert process.status() == 0
        events = [line["event"] for line in process.log()]
    assert events == [
        "service.starting", "service.ready", "service.draining", "service.drained",
        "service.stopped",
    ]  # fmt: skip


def test_started_process_is_spared_by_the_garbage_collector(free_port: int) -> None:
    with toy(free_port) as process:
        assert process.says() == "started"
        while process.asks("/readyz")[0] != 200:
            pass
        figures = dict(
            line.split(" ", 1)
            for line in process.asks("/metrics")[1].splitlines()
            if line[0] != "#"
        )
    assert float(figures["tandem_toy_collected_at"]) == 50_000
    assert float(figures["tandem_toy_frozen"]) > 1_000


def test_drain_over_http_keeps_the_process_until_it_is_told_to_end(free_port: int) -> None:
    with toy(free_port) as process:
        assert process.says() == "started"
        assert process.asks("/drain", method="POST")[0] == 202
        assert process.says() == "draining"
        status, body = process.asks("/readyz")
        assert status == 503
        assert json.loads(body)["conditions"]["not_draining"] is False
        process.signal(signal.SIGTERM)
        assert process.says() == "closed"
        assert process.status() == 0


def test_second_signal_ends_a_drain_that_takes_long(free_port: int) -> None:
    with toy(free_port, "busy") as process:
        assert process.says() == "started"
        process.signal(signal.SIGINT)
        assert process.says() == "draining"
        process.signal(signal.SIGINT)
        assert process.says() == "closed"
        assert process.status() == 0


def test_waiting_for_a_dependency_is_alive_but_not_ready_and_can_be_stopped(
    free_port: int,
) -> None:
    with toy(free_port, "waits") as process:
        assert process.says() == "waiting"
        assert process.asks("/livez")[0] == 200
        status, body = process.asks("/readyz")
        assert (status, json.loads(body)["conditions"]["started"]) == (503, False)
        process.signal(signal.SIGTERM)
        assert process.says() == "closed"
        assert process.status() == 0


def test_unready_condition_is_named(free_port: int) -> None:
    with toy(free_port, "unready") as process:
        assert process.says() == "started"
        status, body = process.asks("/readyz")
        assert (status, json.loads(body)["conditions"]["toy"]) == (503, False)


def test_bug_in_the_background_closes_the_process_with_one_line(free_port: int) -> None:
    with toy(free_port, "crashes") as process:
        assert process.says() == "started"
        assert process.says() == "closed"
        assert process.status() == 1
        crashes = [line for line in process.log() if line["event"] == "service.crashed"]
    [crash] = crashes
    assert (crash["level"], crash["service"], crash["node"]) == ("critical", "toy", "toy-1")
    assert "a bug of ours" in str(crash["exception"])


def is_dropped(client: socket.socket, data: bytes) -> bool:
    """Whether ``data`` brings the connection to its end without an answer."""
    try:
        client.sendall(data)
        return client.recv(100) == b""
    except (ConnectionResetError, BrokenPipeError):
        # What the server had not read when it closed turns its goodbye into a reset.
        return True


def test_rubbish_over_http_is_refused_and_forgotten(free_port: int) -> None:
    with toy(free_port) as process:
        assert process.says() == "started"
        for rubbish in (b"GET", b"GET /livez", b"GET /livez HTTP/1.1 x", b"\x00"):
            with socket.create_connection(("127.0.0.1", free_port), PATIENCE_S) as client:
                client.sendall(rubbish + b"\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 400")
        with socket.create_connection(("127.0.0.1", free_port), PATIENCE_S) as client:
            assert is_dropped(client, b"x" * 100_000)
        assert process.asks("/livez")[0] == 200


def test_settings_that_cannot_be_are_all_named_and_nothing_is_started() -> None:
    environment = {**os.environ, "TANDEM_NODE": "a b", "TANDEM_TRACE_RATIO": "2"}
    done = subprocess.run(
        [sys.executable, "-c", _SERVICE],
        env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.splitlines() == [
        "toy cannot start with these settings:",
        "  TANDEM_NODE is 'a b': must be 1 to 63 letters, digits, - and _",
        "  TANDEM_TRACE_RATIO is '2': must be a number from 0 to 1",
    ]
