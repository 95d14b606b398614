"""What rating needs from outside, in its own words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import msgspec

from services.common.errors import SwitchError
from services.common.events import CdrRated, RatedBatch
from services.rating.core.lease import GiveBack
from services.rating.core.settle import Transfer


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says about an account."""

    enabled: bool
    reserve_s: int
    """Talk time reserved ahead per call."""
    currency: str


@dataclass(frozen=True, slots=True)
class Refill:
    """A wish for more money in a lease; all amounts in units of 10^-10."""

    account_id: str
    lease_id: str
    least: int
    """Less is of no use."""
    wanted: int
    extra: int
    """Beyond the need, to spare further refills; taken only while the account has plenty."""


@dataclass(frozen=True, slots=True)
class Refilled:
    """The answer to a :class:`Refill`."""

    granted: int
    headroom: int
    """What the account has left beyond all its leases."""
    is_new: bool
    """The lease row did not exist before."""
    is_shared: bool
    """Other processes hold money of the account too."""
    policy: Policy


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was moved from another lease into ours."""

    units: int
    is_new: bool
    """Our lease row did not exist before."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """A lease row as its renewal found it."""

    held: int
    is_short: bool
    """More is leased than the account still has: money was taken out, or its limit lowered."""


@dataclass(frozen=True, slots=True)
class Payment:
    """Money moved by hand."""

    payment_id: str
    account_id: str
    amount: Decimal
    """Negative takes money out."""
    currency: str
    kind: str
    note: str
    actor: str


@dataclass(frozen=True, slots=True)
class Paid:
    """The balance after a payment."""

    balance: Decimal
    is_duplicate: bool


class Debit(msgspec.Struct, frozen=True):
    """A transfer to book, and the lease that backs it, if any."""

    transfer: Transfer
    lease_id: str = ""


class Ending(msgspec.Struct, frozen=True, array_like=True):
    """A booked call, for those who may have reserved for it."""

    call_id: str
    account_id: str
    reservation_id: str
    units: int
    """What the customer paid, in units of 10^-10."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that cannot be processed, kept for people to look at."""

    message_id: str
    position: int
    """Index of the event in its message; -1 for the whole message."""
    reason: str
    payload: bytes


class Unbookable(SwitchError):
    """The database refuses these very transfers, and would refuse them again."""


class Leases(Protocol):
    """Leases in the money database.

    All raise ``Unavailable``; the change may then still happen within :attr:`unknown_s`.
    """

    unknown_s: float

    async def refill(self, wish: Refill) -> Refilled | None:
        """Add to a lease, creating it when need be; ``None``: there is no such account.

        Grants nothing when less than ``least`` is left, and at most what is left; to a disabled
        account too, whose calls in progress may go on.
        """

    async def adopt(self, account_id: str, lease_id: str, from_lease: str, units: int) -> Adopted:
        """Move what is there of ``units`` from another lease into ours."""

    async def give_back(self, returns: Sequence[GiveBack]) -> None:
        """Return money from leases to their accounts."""

    async def renew(self, lease_ids: Sequence[str]) -> Mapping[str, Renewed]:
        """Prolong leases; what each is found to be. Those not in the answer are gone."""

    async def sweep(self) -> int:
        """Return the money of expired leases; how many there were."""


class Ledger(Protocol):
    """Balances and transfers. All raise ``Unavailable``."""

    async def book(self, debits: Sequence[Debit]) -> frozenset[str]:
        """Book the transfers not booked before, in one transaction; the keys of those that were.

        Lowers the leases that back them by as much, in the same transaction.

        Raises:
            Unbookable: nothing was booked because of one of them.
        """

    async def pay(self, payment: Payment) -> Paid:
        """Book a payment once.

        Raises:
            Invalid: the account is unknown, of another currency, or the payment id was used
                for another payment.
        """

    async def reject(self, events: Sequence[Rejected]) -> None:
        """Keep events that cannot be processed; keeping one twice is harmless."""


class Policies(Protocol):
    """Accounts as configured."""

    async def load(self) -> Mapping[str, Policy]:
        """All accounts. Raises ``Unavailable``."""


class Outlet(Protocol):
    """Where rated calls go."""

    async def publish(self, batch: RatedBatch, message_id: str) -> None:
        """Hand a batch over durably, once per ``message_id``. Raises ``Unavailable``."""


class Crier(Protocol):
    """The ear of the other rating processes; all of it may go unheard."""

    async def scarce(self, account_id: str) -> None:
        """Ask them to return at once what they hold free of this account."""

    async def settled(self, endings: Sequence[Ending]) -> None:
        """Tell them of booked calls for which one of them may hold money reserved."""


class Records(Protocol):
    """The store of call detail records."""

    async def write(self, records: Sequence[CdrRated]) -> None:
        """Write records; writing one twice is harmless. Raises ``Unavailable``."""
