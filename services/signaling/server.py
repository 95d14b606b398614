"""Composition root of signaling: what is built of what, and in which order it starts."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from functools import partial

from proto.signaling.v1 import guard_pb2_grpc as guard_grpc
from proto.signaling.v1 import signaling_pb2_grpc as pb_grpc
from services.common.boot import boot_id
from services.common.bus import Bus
from services.common.clock import monotonic, utc_now
from services.common.config_watch import ConfigWatch
from services.common.grpc import Server
from services.common.ids import CALL, new_id
from services.common.last_known import LAST_KNOWN, LastKnownFile
from services.common.logs import get_logger
from services.common.postgres import READER, Pool, close_pool, lazy_pool
from services.common.spool import Spool
from services.common.telemetry import Telemetry
from services.signaling.adapters.config import TrunkLoader
from services.signaling.adapters.defence import Defence
from services.signaling.adapters.events import SpooledEvents
from services.signaling.adapters.hep import HepSink
from services.signaling.adapters.journal import SpooledCalls
from services.signaling.adapters.location import BusLocations
from services.signaling.adapters.media import LinkedMedia, open_media_link
from services.signaling.adapters.names import VendorNames
from services.signaling.adapters.network import Sockets, allow_descriptors, local_address
from services.signaling.adapters.observer import CallObserver
from services.signaling.adapters.rating import LinkedCredits, open_rating_link
from services.signaling.adapters.route_server import HttpRouteServers
from services.signaling.adapters.routing import LinkedPlanner, open_routing_link
from services.signaling.adapters.shared_nonces import SharedNonces
from services.signaling.adapters.tcp import StreamLimits, TcpTransport
from services.signaling.adapters.udp import UdpSocket
from services.signaling.app.counters import PDD_BOUNDS_S
from services.signaling.app.drain import end_all, take_out
from services.signaling.app.keep_alive import keep_alive
from services.signaling.app.probes import Probes
from services.signaling.app.services import Services
from services.signaling.app.summing import SummedEvents
from services.signaling.app.switch import Switch
from services.signaling.app.takeover import Takeover
from services.signaling.app.timed_planner import TimedPlanner
from services.signaling.core.context import CAPABILITIES, Context
from services.signaling.core.ladder import Ladders
from services.signaling.core.overload import Overload
from services.signaling.core.probing import Prober
from services.signaling.core.reach import Reach, own_places
from services.signaling.core.switch_settings import SwitchSettings
from services.signaling.core.trunks import TrunkTable
from services.signaling.core.vendor_view import vendor_views
from services.signaling.entrypoints.grpc import SignalingServicer
from services.signaling.entrypoints.guard import GuardServicer
from services.signaling.opening import dns_servers, open_dns, outgoing_address, tls_contexts
from services.signaling.settings import SignalingSettings
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.listeners import Listeners, read_listeners

log = get_logger(__name__)

TEND_S = 1.0
FIRST_LOOKUPS_S = 2.0
"""A start waits this long for the names of vendors; what is slower is known a little later."""


def _tokens() -> Iterator[str]:
    # Seven are taken for a call: asking the kernel for each costs four times as much.
    while True:
        digits = os.urandom(4096).hex()
        yield from [digits[at : at + 16] for at in range(0, len(digits), 16)]


random_token: Callable[[], str] = _tokens().__next__
"""Sixteen hexadecimal digits nobody can guess: tags and branches."""


def unix_us(instant: float) -> int:
    """Unix time, in microseconds, of a monotonic instant."""
    return round((utc_now().timestamp() - (monotonic() - instant)) * 1e6)


class SignalingService:
    """Implements :class:`services.common.run.Service`."""

    def __init__(self, settings: SignalingSettings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._listeners = Listeners(
            read_listeners(settings.sip, settings.sip_advertised, outgoing_address)
        )
        self._names = VendorNames(
            partial(open_dns, dns_servers(settings.dns_servers)),
            monotonic=monotonic,
            with_v6=any(listener.is_v6 for listener in self._listeners.all),
        )
        self._route_servers = HttpRouteServers()
        self._bus = Bus(settings.nats_url, f"signaling-{settings.node}")
        self._spool = Spool(settings.data_dir / "spool", settings.node, self._bus.publish)
        self._routing = open_routing_link(settings.routing_address)
        self._rating = open_rating_link(settings.rating_address)
        self._media = open_media_link(
            settings.media_address, self._on_silence, self._on_rtp, self._on_media_connected
        )
        self._relayed = LinkedMedia(self._media, silence_timeout_ms=settings.silence_timeout_ms)
        self._udp: list[UdpSocket] = []
        self._tcp = TcpTransport(
            on_messages=lambda messages: self._switch.receive(messages),
            on_failed=lambda key: self._switch.on_transport_error(key),
            on_lost=lambda peer: self._switch.on_peer_lost(peer),
            on_closed=lambda peer: self._switch.registrations.on_peer_lost(peer),
            knows=lambda host: self._switch.trunks.knows(host),
            is_banned=lambda host: self._switch.gate.guard.is_banned(host, monotonic()),
            source=self._listeners.source,
            contexts=tls_contexts(settings),
            limits=StreamLimits(most=allow_descriptors(settings.most_connections)),
            dscp=settings.sip_dscp,
            resets=settings.tcp_close_reset,
        )
        self._sockets = Sockets(self._udp, self._tcp, self._listeners)
        self._pdd = telemetry.histogram(
            "pdd_seconds", "INVITE to the first ringing or media", PDD_BOUNDS_S
        )
        self._locations = BusLocations(
            self._bus,
            f"{settings.node}-{random_token()}",
            lambda *stored: self._switch.registrations.on_stored(*stored),
        )
        self._observer = CallObserver(telemetry, self._pdd, monotonic)
        self._switch = self._build_switch()
        self._takeover = Takeover(self._switch, self._services.media, monotonic, utc_now)
        prober = Prober(self._context)
        self._probes = Probes(prober, self._switch.outside, self._observer, monotonic)
        self._shared_nonces = SharedNonces(
            self._bus,
            f"{settings.node}-{random_token()}",
            self._switch.registrations.nonces,
            lambda: utc_now().timestamp(),
        )
        self._grpc = Server(settings.grpc_address)
        self._defence = Defence(
            self._switch.gate.guard,
            self._bus,
            node=settings.node,
            listeners=self._listeners.places,
            mode=settings.nftables,
            monotonic=monotonic,
            on_log=self._observer.on_guard,
        )
        self._switch.gate.on_guard.append(self._defence.on_guard)
        self._pool: Pool | None = None
        self._watch: ConfigWatch | None = None
        self._telemetry = telemetry
        self._has_trunks = False
        self._missing: set[tuple[str, str]] = set()
        self._register(telemetry)

    def _build_switch(self) -> Switch:
        settings = self._settings
        self._layer = TransactionLayer(
            sent_by=self._listeners, ids=random_token, capabilities=CAPABILITIES
        )
        self._context = Context(
            node=settings.node,
            advertised=self._listeners,
            new_tag=random_token,
            new_call_id=lambda: os.urandom(12).hex(),
            chance=random.SystemRandom().random,
            reach=Reach(
                self._names.addresses,
                self._names.services,
                draw=random.random,
                own=own_places(self._listeners),
            ),
            user_agent=settings.user_agent,
            reinvite_s=settings.reinvite_timeout_ms / 1000,
        )
        self._hep = self._open_hep() if settings.hep_address else None
        events = self._events = SummedEvents(
            SpooledEvents(self._spool),
            node=settings.node,
            monotonic=monotonic,
            utc_now=utc_now,
            new_call_id=partial(new_id, CALL),
        )
        self._overload = Overload(random.random, most_cps=settings.most_cps)
        self._journal = SpooledCalls(self._spool, boot=boot_id(), utc_now=utc_now)
        self._services = Services(
            planner=TimedPlanner(
                LinkedPlanner(self._routing), self._overload.on_setup_time, monotonic
            ),
            credits=LinkedCredits(self._rating),
            media=self._relayed,
            events=events,
            journal=self._journal,
            route_servers=self._route_servers,
        )
        return Switch(
            context=self._context,
            layer=self._layer,
            network=self._sockets,
            sink=self._hep,
            services=self._services,
            events=events,
            observer=self._observer,
            locations=self._locations,
            ladders=Ladders(calls=settings.ladder_calls),
            new_call_id=partial(new_id, CALL),
            monotonic=monotonic,
            utc_now=utc_now,
            most_calls=settings.most_calls,
            overload=self._overload,
        )

    def _open_hep(self) -> HepSink:
        return HepSink(
            self._settings.hep_address,
            node=self._settings.node,
            agent=self._settings.hep_agent,
            local=partial(local_address, self._listeners),
            unix_us=unix_us,
        )

    # --- life ---------------------------------------------------------------------------

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """See :meth:`services.common.run.Service.start`: sockets open last."""
        await self._spool.open()
        for work in (
            self._bus, self._spool, self._routing, self._rating, self._media, self._tcp,
            self._locations, self._names, self._route_servers, self._shared_nonces,
        ):  # fmt: skip
            tasks.create_task(work.run())
        settings = self._settings
        self._pool = await lazy_pool(
            settings.postgres_dsn, role=READER, name="signaling", max_size=2
        )
        loader = TrunkLoader(self._pool, self._names, self._use, self._go_by)
        kept = LastKnownFile(settings.data_dir / LAST_KNOWN, "signaling", loader)
        watch = self._watch = ConfigWatch(self._pool, self._bus, loader.load, kept=kept)
        watch.observe(self._telemetry)
        tasks.create_task(watch.run())
        await watch.begin(settings.config_wait_s)
        self._names.on_change = loader.publish
        await self._names.settled(FIRST_LOOKUPS_S)
        await self._route_servers.settled(FIRST_LOOKUPS_S)
        tasks.create_task(self._tend())
        await self._defence.start(tasks)
        self._grpc.add(
            pb_grpc.add_SignalingServicer_to_server,
            SignalingServicer(
                self._switch,
                node=self._settings.node,
                monotonic=monotonic,
                unix_us=unix_us,
                local=partial(local_address, self._listeners),
                vendors=partial(vendor_views, self._context),
            ),
        )
        self._grpc.add(
            guard_grpc.add_GuardServicer_to_server,
            GuardServicer(
                self._switch.gate,
                self._overload,
                self._events.meters,
                node=self._settings.node,
                listeners=self._listeners.places,
                trusted=lambda: self._switch.trunks.hosts,
                firewall_state=lambda: self._defence.firewall,
                monotonic=monotonic,
            ),
        )
        await self._grpc.start(tasks)
        await self._open_sockets()
        tasks.create_task(keep_alive(self._sockets, self._context.keep_alives, monotonic))

    async def _open_sockets(self) -> None:
        for number, listener in enumerate(self._listeners.all, start=1):
            address = (listener.host, listener.port)
            if listener.transport != "udp":
                continue
            sock = UdpSocket(
                address,
                number,
                on_datagrams=self._switch.receive,
                on_refused=self._switch.on_refused,
                on_failed=self._switch.on_transport_error,
                dscp=self._settings.sip_dscp,
                on_age=lambda age_s: self._overload.on_queue_age(age_s, monotonic()),
            )
            self._udp.append(sock)
        # Before the first message is read: it may be for one of those calls.
        self._takeover.begin(self._context, self._layer, self._services.journal)
        for number, listener in enumerate(self._listeners.all, start=1):
            if listener.transport != "udp":
                address = (listener.host, listener.port)
                await self._tcp.listen(address, listener.transport, number)
        for sock in self._udp:
            sock.start()
        self._probes.use(self._switch.trunks.places)

    async def _tend(self) -> None:
        """Look after what counts: sums are told, what is over is forgotten."""
        guard, events = self._switch.gate.guard, self._events
        while True:
            await asyncio.sleep(TEND_S)
            now = monotonic()
            events.flush(now)
            events.meters.on_timer(now)
            guard.on_timer(now)
            self._overload.on_timer(now)
            if self._switch.calls:
                self._journal.beat(now)
            else:
                self._journal.rest()

    async def drain(self) -> None:
        """See :meth:`services.common.run.Service.drain`."""
        await take_out(self._switch)

    async def close(self) -> None:
        """See :meth:`services.common.run.Service.close`.

        What is drained does not come back: calls that are left end, with BYE and record. In any
        other case they are left for the next process.
        """
        self._probes.close()
        if self._switch.is_draining:
            await end_all(self._switch)
        self._switch.close()
        self._events.flush()
        await self._defence.close()
        for sock in self._udp:
            sock.close()
        self._tcp.close()
        if self._hep is not None:
            self._hep.close()
        await self._grpc.stop()
        await self._spool.close()
        if self._pool is not None:
            await close_pool(self._pool)

    def ready(self) -> dict[str, bool]:
        """See :meth:`services.common.run.Service.ready`."""
        return {
            "trunks": self._has_trunks,
            "routing": self._routing.connected,
            "rating": self._rating.connected,
            "media": self._media.connected,
            "spool": self._spool.healthy,
        }

    def notes(self) -> dict[str, str]:
        """See :meth:`services.common.run.Service.notes`."""
        return self._watch.notes if self._watch is not None else {}

    def _use(self, table: TrunkTable) -> None:
        self._switch.trunks = table
        self._miss_listeners(table)
        self._defence.on_trusted(table.hosts)
        self._has_trunks = True
        if table.asks_http:
            self._route_servers.prepare()
        if self._udp:
            self._probes.use(table.places)

    def _miss_listeners(self, table: TrunkTable) -> None:
        """Say once of each trunk that it names a listening address which is not here."""
        missing = {
            (trunk, wanted)
            for trunk, wanted in table.listeners_named().items()
            if not self._listeners.has(wanted)
        }
        for trunk, wanted in sorted(missing - self._missing):
            log.warning("trunk.listener_missing", trunk=trunk, listener=wanted)
        self._missing = missing

    def _go_by(self, settings: SwitchSettings) -> None:
        self._events.settings = settings
        self._switch.gate.guard.rules = settings.guard_rules

    def _on_silence(self, call_id: str) -> None:
        self._switch.on_silence(call_id)

    def _on_rtp(self, call_id: str, attempt: int) -> None:
        call = self._switch.calls.get(call_id)
        if call is not None:
            call.on_rtp(attempt)

    def _on_media_connected(self) -> None:
        self._takeover.attach()
        self._relayed.catch_up()

    def _register(self, telemetry: Telemetry) -> None:
        counters, switch, spool = self._switch.counters, self._switch, self._spool
        for name in (
            "messages_in", "messages_out", "bytes_in", "bytes_out", "unknown_dropped", "invites",
            "retransmissions", "send_failures", "errors", "answered", "banned_dropped",
            "scanners_dropped", "shed", "shed_dropped",
        ):  # fmt: skip
            telemetry.counter(f"{name}_total", name, partial(getattr, counters, name))
        registrations = switch.registrations
        for name in ("challenged", "failed"):
            counted = partial(getattr, registrations, name)
            telemetry.counter(f"digest_{name}_total", f"Requests {name}", counted)
        shared = self._shared_nonces
        telemetry.counter("digest_untold_total", "Unheard elsewhere", lambda: shared.untold)
        telemetry.counter("digest_doubled_total", "Taken elsewhere too", lambda: shared.doubled)
        location = self._context.location
        telemetry.gauge("registered_contacts", "Contacts", lambda: len(location))
        telemetry.counter_by(
            "reason", "calls_ended_total", "Calls by end reason", lambda: counters.ended
        )
        telemetry.gauge("calls", "Live calls", lambda: len(switch.calls))
        telemetry.gauge("transactions", "Alive", lambda: self._layer.transaction_count)
        telemetry.gauge("connections", "Stream connections", lambda: self._tcp.connections)
        telemetry.counter("connections_refused_total", "Turned away", lambda: self._tcp.refused)
        telemetry.gauge("admitted_share", "Of new calls", lambda: self._overload.share)
        telemetry.gauge("queue_age_seconds", "Waited", lambda: self._overload.age_s)
        telemetry.gauge("plan_wait_seconds", "For routes", lambda: self._overload.setup_s)
        guard, events = switch.gate.guard, self._events
        defence = self._defence
        telemetry.counter("firewall_failures_total", "Refused", lambda: defence.firewall_failures)
        telemetry.gauge("bans", "In force", lambda: guard.ban_count)
        telemetry.counter_by("reason", "guard_total", "What was noted", lambda: guard.counters)
        telemetry.counter("calls_summed_total", "Calls in sums", lambda: events.summed)
        telemetry.gauge("flooding_sources", "Now", lambda: events.meters.flooding_count)
        health, servers = self._context.reach.health, self._route_servers
        telemetry.gauge("vendor_addresses_down", "Left out by probes", lambda: health.down)
        telemetry.counter(
            "routing_server_failures_total", "HTTP without use", lambda: servers.failed
        )
        telemetry.gauge("spool_backlog", "Unpublished batches", lambda: spool.backlog)
        telemetry.counter("spool_lost_total", "Events lost", lambda: spool.lost)
        hep = self._hep
        for name in ("sent", "dropped"):
            read = partial(getattr, hep, name, 0)  # of None: nothing, ever
            telemetry.counter(f"hep_{name}_total", "Messages to the capture server", read)
        for what, link in (("routing", self._routing), ("rating", self._rating)):
            telemetry.counter(
                f"{what}_timeouts_total", "Unanswered", partial(getattr, link, "timed_out")
            )


def build(settings: SignalingSettings, telemetry: Telemetry) -> SignalingService:
    """For :func:`services.common.run.run_service`."""
    return SignalingService(settings, telemetry)
