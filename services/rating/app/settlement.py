"""Ended calls in, booked and rated calls out: idempotent, several messages per transaction."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from services.common import clock
from services.common.errors import Invalid
from services.common.events import CallEnded, CdrRated, Charge, RatedBatch, encode
from services.common.pricing.charge import to_units
from services.rating.app.credit import CreditDesk
from services.rating.core.credit import Backing
from services.rating.core.settle import Settlement, settle
from services.rating.ports import Crier, Debit, Ending, Ledger, Outlet, Rejected, Unbookable

MESSAGE: int = -1
"""The position of what is wrong with a whole message."""


class _Envelope(msgspec.Struct, frozen=True):
    """A batch whose events are looked at one by one: a bad one must not take others along."""

    node: str
    epoch: int
    seq: int
    events: list[msgspec.Raw]


_read_envelope = msgspec.json.Decoder(_Envelope).decode
_read_call = msgspec.json.Decoder(CallEnded).decode


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it came off the bus."""

    message_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Batch:
    """A message that could be read, and its calls in order."""

    message_id: str
    node: str
    epoch: int
    seq: int
    settlements: list[Settlement]


class Settler:
    """Prices ended calls, books them, frees what was reserved for them, passes them on."""

    def __init__(self, ledger: Ledger, outlet: Outlet, desk: CreditDesk, crier: Crier) -> None:
        self._ledger = ledger
        self._outlet = outlet
        self._desk = desk
        self._crier = crier
        self.settled = 0
        """Calls booked or found booked, whatever they cost."""
        self.repeated = 0
        """Transfers that had been booked before."""
        self.rejected = 0
        """Events put aside because they cannot be processed."""
        self.lag_s = 0.0
        """How long ago the last call settled had ended."""

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Settle all calls of these messages in one transaction, then publish them rated.

        Returns once that is durable. A failure may be answered by delivering all again.

        Raises:
            Unavailable: the database or the bus is away.
        """
        rejected: list[Rejected] = []
        batches = [
            batch for delivery in deliveries if (batch := _read(delivery, rejected)) is not None
        ]
        if rejected:
            await self._ledger.reject(rejected)
            self.rejected += len(rejected)
        await self._book(batches)
        await self._publish(batches)

    def heard(self, endings: Sequence[Ending]) -> None:
        """Calls booked by whichever process: free what was reserved here for them.

        Our own come back too, and find nothing left to free.
        """
        for one in endings:
            self._desk.settled(
                one.call_id,
                one.account_id,
                Backing.parse(one.reservation_id),
                one.units,
                booked_here=False,
            )

    async def _book(self, batches: list[_Batch]) -> None:
        settlements = [one for batch in batches for one in batch.settlements]
        if not settlements:
            return
        try:
            await self._book_all(settlements)
        except Unbookable:
            for batch in batches:
                batch.settlements[:] = [
                    await self._book_alone(batch, position, one)
                    for position, one in enumerate(batch.settlements)
                ]
        self.settled += len(settlements)
        ended_at = max(one.call.ended_at for one in settlements)
        self.lag_s = max(0.0, (clock.utc_now() - ended_at).total_seconds())

    async def _book_all(self, settlements: list[Settlement]) -> None:
        debits = _debits(settlements)
        repeated = await self._ledger.book(list(debits.values())) if debits else frozenset()
        self.repeated += len(repeated)
        booked = debits.keys() - repeated
        endings = []
        for one in settlements:
            if one.customer is None:
                continue
            key = one.customer_key
            ending = _ending(one, one.customer)
            account_id, backing = ending.account_id, one.backing
            self._desk.settled(
                ending.call_id, account_id, backing, ending.units, booked_here=key in booked
            )
            booked.discard(key)  # a double in this very batch was not booked again
            if not self._desk.is_ours_alone(account_id, backing):
                endings.append(ending)
        if endings:
            await self._crier.settled(endings)

    async def _book_alone(self, batch: _Batch, position: int, one: Settlement) -> Settlement:
        """One call of a batch the database refused; without charges if it is the culprit."""
        try:
            await self._book_all([one])
        except Unbookable as error:
            culprit = Rejected(batch.message_id, position, str(error), encode(one.call))
            await self._ledger.reject([culprit])
            self.rejected += 1
            return Settlement(one.call, None, None, one.backing, (), (str(error),))
        return one

    async def _publish(self, batches: list[_Batch]) -> None:
        rated_at = clock.utc_now()
        results = await asyncio.gather(
            *(
                self._outlet.publish(_rated(batch, rated_at), f"{batch.message_id}/rated")
                for batch in batches
                if batch.settlements
            ),
            return_exceptions=True,
        )
        for failure in results:
            if failure is not None:
                raise failure


def _rated(batch: _Batch, rated_at: dt.datetime) -> RatedBatch:
    events = [
        CdrRated(call=one.call, customer=one.customer, vendor=one.vendor, rated_at=rated_at)
        for one in batch.settlements
    ]
    return RatedBatch(node=batch.node, epoch=batch.epoch, seq=batch.seq, events=events)


def _ending(one: Settlement, customer: Charge) -> Ending:
    call = one.call
    units = to_units(customer.amount)
    return Ending(call.call_id, customer.account_id, call.reservation_id, units)


def _debits(settlements: list[Settlement]) -> dict[str, Debit]:
    """One debit per key: the same call may stand in two messages of a batch."""
    debits: dict[str, Debit] = {}
    for one in settlements:
        for transfer in one.transfers:
            is_customer = transfer.key == one.customer_key
            lease_id = one.backing.lease_id if is_customer and one.backing else ""
            debits.setdefault(transfer.key, Debit(transfer, lease_id))
    return debits


def _read(delivery: Delivery, rejected: list[Rejected]) -> _Batch | None:
    try:
        envelope = _read_envelope(delivery.payload)
    except msgspec.DecodeError as error:
        rejected.append(Rejected(delivery.message_id, MESSAGE, str(error), delivery.payload))
        return None
    settlements = []
    for position, raw in enumerate(envelope.events):
        try:
            one = settle(_read_call(raw))
        except (msgspec.DecodeError, Invalid) as error:
            rejected.append(Rejected(delivery.message_id, position, str(error), bytes(raw)))
            continue
        settlements.append(one)
        rejected += [
            Rejected(delivery.message_id, position, flaw, bytes(raw)) for flaw in one.flaws
        ]
    node, epoch, seq = envelope.node, envelope.epoch, envelope.seq
    return _Batch(delivery.message_id, node, epoch, seq, settlements)
