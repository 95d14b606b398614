"""Composition root of the media service."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from services.common.clock import monotonic
from services.common.grpc import Server
from services.common.link_methods import MEDIA_LINK
from services.common.telemetry import Telemetry
from services.media.adapters.relay.user_space import Interface, UserSpaceRelay
from services.media.app import Limits, MediaCalls
from services.media.core.sdp import Family
from services.media.entrypoints.link import MediaLink
from services.media.settings import MediaSettings, parse_ranges

_SWEEP_INTERVAL_S = 1.0


class MediaService:
    """One media process: a control loop, and relay workers beside it."""

    def __init__(self, settings: MediaSettings, telemetry: Telemetry) -> None:
        self._relay = UserSpaceRelay(
            interfaces_of(settings),
            self._on_active,
            workers=settings.rtp_workers,
            rest_s=settings.rtp_rest_s,
        )
        limits = Limits(settings.orphan_s, settings.orphan_held_s, settings.rtp_learn_any)
        # RFC 8866 section 5.2: numeric, and unlike any other session's.
        self.calls = MediaCalls(self._relay, lambda: secrets.randbits(62), limits)
        self._server = Server(settings.grpc_address)
        self._server.add_link(MEDIA_LINK, MediaLink(self.calls).on_items)
        self._swept = asyncio.Event()
        self._export(telemetry)

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """See :class:`services.common.run.Service`."""
        self._relay.start()
        await self._server.start(tasks)
        tasks.create_task(self._sweep())

    async def drain(self) -> None:
        """Return once no call is left: signaling drains first, so this is soon."""
        self.calls.is_draining = True
        while self.calls.live:
            self._swept.clear()
            await self._swept.wait()

    async def close(self) -> None:
        """See :class:`services.common.run.Service`."""
        await self._server.stop()
        self._relay.stop()

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
            ("silences", "Calls reported silent"),
            ("one_sided", "Calls that ended with audio from one side only"),
            ("packets", "RTP packets of ended calls"),
            ("lost", "RTP packets of ended calls that never came"),
            ("refused", "Packets of ended calls that were not the peer's"),
        ):
            telemetry.counter(name, description, _reader(calls, name))
        telemetry.counter_by("reason", "refusals", "Requests refused", lambda: calls.refusals)
        telemetry.counter("worker_restarts", "Relay workers that died", lambda: relay.restarts)


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
