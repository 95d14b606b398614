"""Composition root of rating."""

import asyncio

from services.common.bus import Bus
from services.common.config_watch import ConfigWatch
from services.common.errors import Unavailable
from services.common.grpc import Server
from services.common.ids import new_id
from services.common.logs import get_logger
from services.common.postgres import Pool, close_pool, lazy_pool
from services.common.telemetry import Telemetry
from services.rating.adapters.clickhouse import ClickHouseRecords
from services.rating.adapters.crier import BusCrier
from services.rating.adapters.leases import PostgresLeases, PostgresPolicies
from services.rating.adapters.ledger import PostgresLedger
from services.rating.adapters.outlet import BusOutlet
from services.rating.app.credit import CreditDesk
from services.rating.app.payments import Cashier
from services.rating.app.records import Clerk
from services.rating.app.settlement import Settler
from services.rating.app.upkeep import Rhythm, Upkeep
from services.rating.entrypoints.bus import BusEntry
from services.rating.entrypoints.grpc import RatingEntry
from services.rating.settings import RatingSettings

log = get_logger(__name__)

ROLE = "tandem_rating"
"""May write the money tables and read all others."""


class RatingService:
    """Everything of one rating process, built when it starts."""

    def __init__(self, settings: RatingSettings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._bus = Bus(
            settings.nats_url, f"rating/{settings.node}", replicas=settings.stream_replicas
        )
        self._server = Server(settings.grpc_address)
        self._records = ClickHouseRecords(settings.clickhouse_dsn)
        self._pools: list[Pool] = []
        self._upkeep: Upkeep | None = None
        self._watch: ConfigWatch | None = None
        self._is_up = False

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Load the accounts, listen, consume.

        Without Postgres too: calls that need money are then refused at once, and what has ended
        waits on the bus.

        Raises:
            OSError: the address to listen at is taken or not ours.
        """
        settings = self._settings
        tasks.create_task(self._bus.run())
        # Settlement must never make a call wait for a connection.
        credit_pool = await self._open("credit", max_size=4)
        ledger_pool = await self._open("ledger", max_size=4)

        leases = PostgresLeases(
            credit_pool,
            f"{settings.node}/{new_id('run')}",
            lease_s=settings.lease_s,
            timeout_s=settings.credit_timeout_s,
        )
        crier = BusCrier(self._bus)
        desk = CreditDesk(leases, crier, tasks, valid_s=settings.lease_s / 3)
        ledger = PostgresLedger(ledger_pool, timeout_s=settings.settle_timeout_s)
        settler = Settler(ledger, BusOutlet(self._bus), desk, crier)
        clerk = Clerk(self._records, ledger)
        cashier = Cashier(ledger)
        upkeep = Upkeep(leases, desk, Rhythm(renew_s=settings.lease_s / 9), _on_unavailable)
        self._upkeep = upkeep
        policies = PostgresPolicies(ledger_pool, timeout_s=settings.settle_timeout_s)

        async def take(_revision: int) -> None:
            desk.know(await policies.load())

        watch = ConfigWatch(ledger_pool, self._bus, take, poll_s=settings.config_poll_s)
        self._watch = watch
        watch.observe(self._telemetry)
        tasks.create_task(watch.run())
        if not await watch.taken_within(settings.config_wait_s):
            log.warning("credit.without_database")
        self._observe(desk, settler, clerk, cashier, upkeep, ledger)
        RatingEntry(desk, cashier).add_to(self._server)
        await self._server.start(tasks)
        entry = BusEntry(self._bus, settler, clerk, upkeep, redeliver_s=settings.redeliver_s)
        await entry.start(tasks)
        tasks.create_task(upkeep.run())
        self._is_up = True

    async def drain(self) -> None:
        """Nothing to wait for: what is not settled yet stays on the bus."""

    async def close(self) -> None:
        """Stop listening, return the money no call needs, let go of the databases."""
        self._is_up = False
        await self._server.stop()
        if self._upkeep is not None:
            try:
                await self._upkeep.close()
            except Unavailable as error:
                _on_unavailable(error)  # it expires
        await self._records.close()
        for pool in self._pools:
            await close_pool(pool)

    def ready(self) -> dict[str, bool]:
        """Ready while calls can be authorised; bus and records may be away, they catch up."""
        return {"credit": self._is_up}

    def notes(self) -> dict[str, str]:
        """See :meth:`services.common.run.Service.notes`."""
        is_waiting = self._watch is not None and not self._watch.is_fresh
        return {"accounts": "Postgres is away since the start"} if is_waiting else {}

    async def _open(self, purpose: str, *, max_size: int) -> Pool:
        name = f"rating/{self._settings.node}/{purpose}"
        pool = await lazy_pool(
            self._settings.postgres_dsn, role=ROLE, name=name, max_size=max_size
        )
        self._pools.append(pool)
        return pool

    def _observe(
        self,
        desk: CreditDesk,
        settler: Settler,
        clerk: Clerk,
        cashier: Cashier,
        upkeep: Upkeep,
        ledger: PostgresLedger,
    ) -> None:
        telemetry, counters, records = self._telemetry, desk.counters, self._records
        counted = {
            "authorized": ("Calls granted credit", lambda: counters.authorized),
            "extended": ("Extensions granted", lambda: counters.extended),
            "released": ("Reservations of unanswered calls freed", lambda: counters.released),
            "refills": ("Times a lease asked Postgres for money", lambda: counters.refills),
            "adopted": ("Reservations taken over from others", lambda: counters.adopted),
            "forgotten": ("Reservations whose call never ended", lambda: counters.forgotten),
            "leases_lost": ("Own leases that expired", lambda: counters.lost_leases),
            "leases_swept": ("Expired leases returned", lambda: upkeep.swept),
            "settled": ("Ended calls settled", lambda: settler.settled),
            "repeated": ("Transfers found booked already", lambda: settler.repeated),
            "rejected": ("Events put aside", lambda: settler.rejected + clerk.rejected),
            "transactions_retried": ("Deadlocks retried", lambda: ledger.retried),
            "payments": ("Payments booked", lambda: cashier.paid),
            "records": ("Call detail records written", lambda: records.written),
        }
        for name, (description, read) in counted.items():
            telemetry.counter(name, description, read)
        telemetry.counter_by("reason", "refused", "Calls refused", lambda: counters.refused)
        telemetry.gauge("leases", "Leases held", lambda: _count(desk))
        telemetry.gauge("reservations", "Calls with money reserved", lambda: _calls(desk))
        telemetry.gauge_by("currency", "leased", "Money in our leases", desk.leased)
        telemetry.gauge_by("currency", "reserved", "Money reserved for calls", desk.reserved)
        telemetry.gauge("settle_lag_seconds", "End to settlement", lambda: settler.lag_s)
        telemetry.gauge("records_up", "Whether ClickHouse took the last", lambda: records.is_up)


def _count(desk: CreditDesk) -> int:
    return sum(lease.is_held for lease in desk.leases)


def _calls(desk: CreditDesk) -> int:
    return sum(lease.calls for lease in desk.leases)


def _on_unavailable(error: Unavailable) -> None:
    log.warning("leases.unattended", error=str(error))
