"""CPU per relayed RTP packet: our user-space engine, and rtpengine's in the same run.

Calls with G.711 in both directions, 20 ms packets, on loopback; what is counted is the CPU (user
and system) of the process that relays, over the packets that arrived.
"""

import asyncio
import itertools
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.common.boot import boot_id
from services.media.adapters.call_log import CallLog
from services.media.adapters.relay.user_space import Interface, UserSpaceRelay
from services.media.app import MediaCalls
from services.media.core.exchange import Describe, Side
from services.media.core.sdp import Family
from tests.bench.processes import cpu_us, rss_bytes

CALLS = 200
SECONDS = 5.0
ROUNDS = 2
"""Each engine is measured this often, in turn; the mean is reported."""
_PACKET_S = 0.02
_SLICES = 10
"""Packets leave in this many groups per 20 ms, as unrelated calls would."""
_LOWEST_PORT = 22_000
_cookies = itertools.count(1)


class _Owner:
    is_closed = False

    def tell_silence(self, call_id: str) -> None:
        raise AssertionError(f"{call_id} is silent")

    def tell_rtp(self, call_id: str, attempt: int) -> None:
        raise AssertionError(f"{call_id} awaits nothing of {attempt}")


@dataclass(slots=True)
class _Party:
    sock: socket.socket
    relay: tuple[str, int] = ("", 0)
    received: int = 0

    @property
    def sdp(self) -> bytes:
        host, port = self.sock.getsockname()
        return (
            f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        ).encode()


def run() -> dict[str, float]:
    """Measure; figures by name, with their unit at the end."""
    figures: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, figure in asyncio.run(_tandem()).items():
            figures.setdefault(name, []).append(figure)
        if shutil.which("rtpengine"):
            for name, figure in _rtpengine().items():
                figures.setdefault(name, []).append(figure)
    means = {name: sum(values) / len(values) for name, values in figures.items()}
    if "us_per_packet.rtpengine" in means:
        means["us_per_packet.ratio"] = (
            means["us_per_packet.tandem"] / means["us_per_packet.rtpengine"]
        )
    return {name: round(value, 2) for name, value in means.items()}


async def _tandem() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return await _measured(Path(folder))


async def _measured(folder: Path) -> dict[str, float]:
    ports = (_LOWEST_PORT, _LOWEST_PORT + 8 * CALLS)
    relay = UserSpaceRelay(
        [Interface(Family.IP4, "127.0.0.1", *ports, "127.0.0.1")],
        folder,
        lambda _ids: None,
        lambda _ids: None,
    )
    journal = CallLog(folder / "calls.log", boot=boot_id(), monotonic=time.monotonic)
    calls = MediaCalls(relay, journal, itertools.count(1).__next__)
    relay.start()
    journal.open()
    try:
        await _until_relaying(relay)
        empty_bytes = rss_bytes(relay.worker_pids[0])
        with _parties() as parties:
            started = time.process_time()
            for number, (caller, callee) in enumerate(parties):
                _connect(calls, f"call {number}", caller, callee)
            calls.flush()
            control_us = (time.process_time() - started) * 1e6 / CALLS
            await _until_relaying(relay)
            us_per_packet = _load(parties, relay.worker_pids)
            memory = (rss_bytes(relay.worker_pids[0]) - empty_bytes) / CALLS
    finally:
        relay.stop()
    return {
        "us_per_packet.tandem": us_per_packet,
        "control_us_per_call": control_us,
        "worker_bytes_per_call": memory,
    }


async def _until_relaying(relay: UserSpaceRelay) -> None:
    """Wait until the worker has carried out all orders so far."""
    closed = asyncio.get_running_loop().create_future()
    relay.close([relay.open(Family.IP4, "").id], closed.set_result)
    await closed


def _connect(calls: MediaCalls, call_id: str, caller: _Party, callee: _Party) -> None:
    owner, now = _Owner(), time.monotonic()
    offer = calls.offer(call_id, Describe(Side.CALLER, caller.sdp), owner, now)
    answer = calls.answer(call_id, Describe(Side.CALLEE, callee.sdp), owner, now)
    assert isinstance(offer, bytes)
    assert isinstance(answer, bytes)
    callee.relay, caller.relay = _audio_of(offer), _audio_of(answer)


@contextmanager
def _parties() -> Iterator[list[tuple[_Party, _Party]]]:
    with ExitStack() as stack:

        def party() -> _Party:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            stack.enter_context(sock)
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            return _Party(sock)

        yield [(party(), party()) for _ in range(CALLS)]


def _audio_of(sdp: bytes) -> tuple[str, int]:
    line = next(line for line in sdp.split(b"\r\n") if line.startswith(b"m=audio"))
    return "127.0.0.1", int(line.split()[1])


def _load(parties: list[tuple[_Party, _Party]], pids: list[int]) -> float:
    """Microseconds of CPU per packet relayed."""
    everybody = [each for pair in parties for each in pair]
    _talk(everybody, 0.5)  # both latches close
    for each in everybody:
        each.received = 0
    before = sum(map(cpu_us, pids))
    sent = _talk(everybody, SECONDS)
    spent = sum(map(cpu_us, pids)) - before
    received = sum(each.received for each in everybody)
    assert received > 0.98 * sent, f"{received} of {sent} packets arrived"
    return spent / received


def _talk(everybody: list[_Party], seconds: float) -> int:
    payload = bytes(160)
    due = time.monotonic()
    rounds = int(seconds / _PACKET_S)
    for count in range(rounds):
        header = b"\x80\x00%b%b\x00\x00\x00\x07" % (
            (count & 0xFFFF).to_bytes(2, "big"),
            (count * 160).to_bytes(4, "big"),
        )
        for part in range(_SLICES):
            for each in everybody[part::_SLICES]:
                each.sock.sendto(header + payload, each.relay)
                _drain(each)
            due += _PACKET_S / _SLICES
            time.sleep(max(0.0, due - time.monotonic()))
    time.sleep(0.05)
    for each in everybody:
        _drain(each)
    return rounds * len(everybody)


def _drain(party: _Party) -> None:
    try:
        while True:
            party.sock.recv(2048)
            party.received += 1
    except BlockingIOError:
        return


def _rtpengine() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, _running_rtpengine(Path(folder)) as (pid, ng):
        empty_bytes = rss_bytes(pid)
        with _parties() as parties:
            for number, (caller, callee) in enumerate(parties):
                call: dict[str, str | bytes] = {"call-id": f"call {number}", "from-tag": "a"}
                offer = _ask(ng, {"command": "offer", "sdp": caller.sdp, **call})
                callee.relay = _audio_of(offer)
                call |= {"command": "answer", "sdp": callee.sdp, "to-tag": "b"}
                caller.relay = _audio_of(_ask(ng, call))
            us_per_packet = _load(parties, [pid])
            memory = (rss_bytes(pid) - empty_bytes) / CALLS
    return {"us_per_packet.rtpengine": us_per_packet, "rtpengine_bytes_per_call": memory}


@contextmanager
def _running_rtpengine(folder: Path) -> Iterator[tuple[int, tuple[str, int]]]:
    """Debian's rtpengine without its kernel module; its process and where its ng protocol is."""
    program = shutil.which("rtpengine")
    assert program
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        ng = ("127.0.0.1", int(probe.getsockname()[1]))
    command = [program, "--config-file=none", "--foreground", "--log-stderr", "--log-level=3"]
    command += ["--table=-1", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{ng[1]}"]
    command += [f"--port-min={_LOWEST_PORT}", f"--port-max={_LOWEST_PORT + 8 * CALLS}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _await_answer(process, ng, folder / "log")
            yield process.pid, ng
        finally:
            process.terminate()
            process.wait(timeout=20)


def _await_answer(process: subprocess.Popen[bytes], ng: tuple[str, int], log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            _ask(ng, {"command": "ping"}, timeout_s=0.2)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text()[-2000:]) from None
            time.sleep(0.1)
        else:
            return


def _ask(ng: tuple[str, int], request: dict[str, str | bytes], *, timeout_s: float = 5.0) -> bytes:
    """One exchange of the ng protocol; the SDP in its answer, if any."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        sock.connect(ng)
        # rtpengine answers a cookie it has seen with what it answered then.
        fields = b"".join(map(_bencoded, itertools.chain(*request.items())))
        sock.send(b"%d d%be" % (next(_cookies), fields))
        reply = sock.recv(65_536)
    _, found, rest = reply.partition(b"3:sdp")
    size, _, text = rest.partition(b":")
    if not found and b"4:pong" not in reply:
        raise RuntimeError(reply[:500])
    return text[: int(size)] if found else b""


def _bencoded(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return b"%d:%b" % (len(raw), raw)


if __name__ == "__main__":
    for figure_name, value in run().items():
        sys.stdout.write(f"{figure_name:28} {value}\n")
