"""Composition root of the media service."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from services.common.boot import boot_id
from services.common.clock import monotonic
from services.common.grpc import Server
from services.common.link_methods import MEDIA_LINK
from services.common.logs import get_logger
from services.common.telemetry import Telemetry
from services.media.adapters.call_log import CallLog
from services.media.adapters.relay.user_space import Interface, UserSpaceRelay
from services.media.app import Limits, MediaCalls
from services.media.core.sdp import Family
from services.media.entrypoints.link import MediaLink
from services.media.settings import MediaSettings, parse_ranges

log = get_logger(__name__)

_SWEEP_INTERVAL_S = 1.0


class MediaService:
    """One media process: a control loop, and relay workers beside it."""

    def __init__(self, settings: MediaSettings, telemetry: Telemetry) -> None:
        self._relay = UserSpaceRelay(
            interfaces_of(settings),
            settings.data_dir,
            self._on_active,
            lambda endpoint_ids: self.calls.on_started(endpoint_ids),
            workers=settings.rtp_workers,
            rest_s=settings.rtp_rest_s,
        )
        limits = Limits(settings.orphan_s, settings.orphan_held_s, settings.rtp_learn_any)
        self._journal = CallLog(
            settings.data_dir / "calls.log", boot=boot_id(), monotonic=monotonic
        )
        # RFC 8866 section 5.2: numeric, and unlike any other session's.
        self.calls = MediaCalls(self._relay, self._journal, lambda: secrets.randbits(62), limits)
        self._server = Server(settings.grpc_address)
        self._server.add_link(MEDIA_LINK, MediaLink(self.calls).on_items)
        self._swept = asyncio.Event()
        self._export(telemetry)

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """See :class:`services.common.run.Service`."""
        self._relay.start()
        self.calls.restore(self._journal.open(), monotonic())
        if self.calls.restored:
            log.warning("media.restored", calls=self.calls.restored)
        await self._server.start(tasks)
        tasks.create_task(self._sweep())

    async def drain(self) -> None:
        """Return once no call is left: signaling drains first, so this is soon."""
        self.calls.is_draining = True
        while self.calls.live:
            self._swept.clear()
            await self._swept.wait()

    async def close(self) -> None:
        """See :class:`services.common.run.Service`.

        What is drained does not come back. In any other case calls go on, and the next process
        on this folder goes on with them.
        """
        await self._server.stop()
        if self.calls.is_draining:
            self._relay.stop()
        else:
            self._relay.detach()
        self._journal.close(is_over=self.calls.is_draining)

    def ready(self) -> dict[str, bool]:
        """See :class:`services.common.run.Service`."""
        return {"relay": self._relay.is_running}

    def notes(self) -> dict[str, str]:
        """Nothing."""
        return {}

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL_S)
            self.calls.sweep(monotonic())
            self._swept.set()

    def _on_active(self, endpoint_ids: Sequence[int]) -> None:
        self.calls.on_active(endpoint_ids, monotonic())

    def _export(self, telemetry: Telemetry) -> None:
        calls, relay = self.calls, self._relay
        telemetry.gauge("calls", "Calls in progress", lambda: calls.live)
        telemetry.gauge("endpoints", "Port pairs in use", lambda: relay.open_endpoints)
        telemetry.gauge("free_ports", "Port pairs not in use", lambda: relay.free_ports)
        for name, description in (
            ("offers", "Offers taken"),
            ("answers", "Answers taken"),
            ("released", "Calls that ended"),
            ("reaped", "Calls ended because nobody owned them any more"),
            ("restored", "Calls that went on from a process that died"),
            ("silences", "Calls reported silent"),
            ("one_sided", "Calls that ended with audio from one side only"),
            ("packets", "RTP packets of ended calls"),
            ("lost", "RTP packets of ended calls that never came"),
            ("refused", "Packets of ended calls that were not the peer's"),
        ):
            telemetry.counter(name, description, _reader(calls, name))
        telemetry.counter_by("reason", "refusals", "Requests refused", lambda: calls.refusals)
        telemetry.counter("worker_restarts", "Relay workers that died", lambda: relay.restarts)
        journal = self._journal
        telemetry.counter(
            "journal_failures", "Writes of live calls that failed", lambda: journal.failures
        )


def _reader(calls: MediaCalls, name: str) -> Callable[[], int]:
    return lambda: int(getattr(calls, name))


def interfaces_of(settings: MediaSettings) -> list[Interface]:
    """The configured ranges, each with the address that peers are told."""
    ranges = parse_ranges(settings.rtp)
    told = [each.strip() for each in settings.rtp_advertised.split(",") if each.strip()]
    told += [host for host, _, _ in ranges[len(told) :]]
    return [
        Interface(
            Family(ip_address(host).version),
            host,
            low,
            high,
            str(ip_address(advertised)),
            settings.rtp_dscp,
        )
        for (host, low, high), advertised in zip(ranges, told, strict=True)
    ]
