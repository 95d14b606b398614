"""What the use cases need from the world."""

import datetime as dt
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from services.api.core.idempotency import Kept
from services.api.core.keys import StoredKey
from services.api.core.kinds import Kind
from services.api.core.pcap import Packet
from services.api.core.rate_sheet import Mode, SheetRate
from services.api.core.rates import Merged
from services.api.core.records import Record
from services.api.core.tariff import Rate
from services.api.core.webhook_event import Told


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, for the audit log."""

    actor: str
    source: str


class Change(Protocol):
    """One transaction on the configuration; every write bumps the revision once, at its end."""

    revision: int | None
    """The revision this change made, once it is committed; ``None`` when nothing was written."""

    async def get(self, kind: Kind, identity: str) -> Record:
        """The object, locked. Raises: NotFound."""
        ...

    async def all(self, kind: Kind) -> dict[str, Record]:
        """Every object of a kind, by its name."""
        ...

    async def insert(self, kind: Kind, fields: Record) -> Record:
        """Create. Raises: AlreadyExists, Invalid (a reference to nothing)."""
        ...

    async def update(self, kind: Kind, identity: str, fields: Record) -> Record:
        """Change some fields. Raises: AlreadyExists, Invalid, NotFound."""
        ...

    async def delete(self, kind: Kind, identity: str) -> None:
        """Remove. Raises: InUse."""
        ...

    async def audit(
        self, action: str, kind: str, identity: str, before: Record | None, after: Record | None
    ) -> None:
        """Note what was done, in the same transaction; values are masked already."""
        ...

    async def stage(self, rates: AsyncIterable[SheetRate], at: dt.datetime) -> None:
        """Bring the rows of a sheet beside the decks, as a stream."""
        ...

    async def merge(self, deck_id: str, mode: Mode, at: dt.datetime) -> Merged:
        """Bring the staged rows into a deck, whose version moves when it changes."""
        ...

    async def touch_deck(self, deck_id: str) -> None:
        """Tell readers that the rates of a deck changed."""
        ...

    async def rate_at(self, deck_id: str, prefix: str, at: dt.datetime) -> Record:
        """The row of a code in force at an instant. Raises: NotFound."""
        ...


class Configuration(Protocol):
    """The configuration tables."""

    def change(
        self,
        author: Author,
        *,
        dry_run: bool = False,
        is_import: bool = False,
    ) -> AbstractAsyncContextManager[Change]:
        """A transaction: committed when left without an error, unless ``dry_run``.

        Changes wait for one another; an import only once it merges. Raises: Unavailable.
        """
        ...

    async def get(self, kind: Kind, identity: str | int) -> Record:
        """Raises: NotFound, Unavailable."""
        ...

    async def page(
        self, kind: Kind, *, after: str, limit: int, filters: Mapping[str, str]
    ) -> list[Record]:
        """Objects in the order of their creation, behind the id ``after``."""
        ...

    async def audit_page(
        self, *, before: str, limit: int, filters: Mapping[str, str]
    ) -> list[Record]:
        """Audit events, newest first, older than the id ``before``."""
        ...


class Decks(Protocol):
    """Reading rates."""

    async def rates(
        self,
        deck_id: str,
        *,
        after: tuple[str, int] | None,
        limit: int,
        filters: "RateFilter",
    ) -> list[Record]:
        """Rows of a deck by prefix and id."""
        ...

    async def matching(self, deck_id: str, prefixes: Sequence[str]) -> list[Rate]:
        """Every row of the deck under one of the prefixes, whatever its dates."""
        ...


@dataclass(frozen=True, slots=True)
class RateFilter:
    """Which rows of a deck."""

    starts_with: str = ""
    number: str = ""
    destination: str = ""
    at: dt.datetime | None = None
    """Only rows in force then."""


class Keys(Protocol):
    """API keys."""

    async def find(self, key_hash: bytes) -> StoredKey | None:
        """Raises: Unavailable."""
        ...

    async def used(self, last_used: Mapping[str, dt.datetime]) -> None:
        """Note when keys were used last."""
        ...


class Answers(Protocol):
    """Answers kept under idempotency keys."""

    async def claim(
        self, user_id: str, key: str, request_hash: bytes, now: dt.datetime
    ) -> Kept | None:
        """Claim the key; what an earlier request left when it is taken."""
        ...

    async def keep(
        self,
        user_id: str,
        key: str,
        *,
        status: int,
        headers: Sequence[tuple[str, str]],
        body: bytes,
    ) -> None:
        """Keep the answer for replay."""
        ...

    async def release(self, user_id: str, key: str) -> None:
        """Forget the claim: the request settled nothing."""
        ...

    async def forget_before(self, instant: dt.datetime) -> int:
        """Drop answers older than ``instant``; how many."""
        ...


class Books(Protocol):
    """Reading the ledger."""

    async def transfers(
        self,
        *,
        before: int | None,
        limit: int,
        account_id: str = "",
        kinds: Sequence[str] = (),
    ) -> list[Record]:
        """Transfers, newest first."""
        ...

    async def transfer(self, key: str) -> Record | None:
        """The one booked under ``key``."""
        ...


@dataclass(frozen=True, slots=True)
class Payment:
    """Money moved by hand."""

    id: str
    account_id: str
    amount: Decimal
    currency: str
    kind: str
    note: str
    actor: str


@dataclass(frozen=True, slots=True)
class Paid:
    """What the books say after it."""

    balance: str
    duplicate: bool


class Cashier(Protocol):
    """The rating service, for payments."""

    async def pay(self, payment: Payment) -> Paid:
        """Book it, once per id. Raises: Invalid, Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class TrialRoute:
    """A route as a routing server would offer it; ``caller`` of ``None``: as received."""

    vendor_trunk: str
    called: str = ""
    caller: str | None = None
    max_call_s: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """A call to plan without placing it."""

    customer_trunk_id: str
    caller: str
    called: str
    at: dt.datetime
    busy_vendor_trunk_ids: tuple[str, ...] = ()
    offered: tuple[TrialRoute, ...] = ()


class Planner(Protocol):
    """The routing service."""

    async def plan(self, trial: Trial) -> Record:
        """Where the call would go, and why. Raises: Invalid, Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which live calls."""

    limit: int = 1000
    after: str = ""
    call_id: str = ""
    account_id: str = ""
    trunk_id: str = ""


class LiveCalls(Protocol):
    """The signaling services."""

    async def calls(self, chosen: CallFilter) -> tuple[list[Record], int]:
        """Live calls and how many there are in all. Raises: Unavailable."""
        ...

    async def hang_up(self, call_id: str) -> bool:
        """End a call; whether it was found. Raises: Unavailable."""
        ...

    async def vendors(self) -> list[Record]:
        """How every vendor trunk is, as each signaling process sees it. Raises: Unavailable."""
        ...

    async def ladder(self, call_id: str) -> list[Record]:
        """The messages of a call, oldest first; empty when none are kept. Raises: Unavailable."""
        ...

    async def packets(self, call_id: str) -> list[Packet]:
        """The same, as they were on the wire. Raises: Unavailable."""
        ...

    async def registrations(self) -> list[Record]:
        """Customers' contacts and our accounts at vendors. Raises: Unavailable."""
        ...


class Guard(Protocol):
    """Who is kept out by signaling, over all of its processes."""

    async def show(self, limit: int) -> list[Record]:
        """Bans, counters and meters of each process. Raises: Unavailable."""

    async def ban(self, target: str, seconds: int) -> str:
        """Keep an address or network out; how the list writes it. Raises: Invalid, Unavailable."""

    async def unban(self, target: str) -> bool:
        """Let in again; whether anybody kept it out. Raises: Invalid, Unavailable."""

    async def rules(self, form: str) -> str:
        """Rules for a firewall of the operator's own. Raises: Invalid, Unavailable."""


@dataclass(frozen=True, slots=True)
class CdrFilter:
    """Which call detail records."""

    since: dt.datetime | None = None
    """On ``invited_at``, inclusive."""
    till: dt.datetime | None = None
    """Exclusive."""
    account_id: str = ""
    """Customer or vendor."""
    customer_trunk_id: str = ""
    vendor_trunk_id: str = ""
    caller_prefix: str = ""
    called_prefix: str = ""
    end_reason: str = ""
    answered: bool | None = None


class Records(Protocol):
    """Call detail records in ClickHouse."""

    async def page(
        self, chosen: CdrFilter, *, before: tuple[str, str] | None, limit: int
    ) -> list[Record]:
        """Records, newest first, before the (``invited_at``, ``call_id``). Raises: Unavailable."""
        ...

    async def totals(self, chosen: CdrFilter) -> list[Record]:
        """Calls and talk time by end reason, most frequent first. Raises: Unavailable."""

    async def get(self, call_id: str) -> Record:
        """One record with attempts and explanation. Raises: NotFound, Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook, as the sender needs it."""

    id: str
    url: str
    events: tuple[str, ...]
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one webhook."""

    id: str
    subscription: Subscription
    event_type: str
    body: bytes
    attempts: int
    """This one included."""


class Deliveries(Protocol):
    """Messages waiting for webhooks, and what became of them."""

    async def subscriptions(self) -> tuple[list[Subscription], bool]:
        """The webhooks that are switched on, and whether private targets are allowed."""
        ...

    async def add(self, told: Sequence[tuple[str, Told]]) -> int:
        """Queue messages, each for a webhook id; what is queued already is left out."""
        ...

    async def due(
        self, now: dt.datetime, *, per_webhook: int, limit: int, busy: Sequence[str] = ()
    ) -> list[Delivery]:
        """Take messages to send, none for ``busy`` webhooks; others get them in a minute."""
        ...

    async def next_at(self) -> dt.datetime | None:
        """When the next message is due."""
        ...

    async def done(self, delivery_id: str, status: int) -> None:
        """It was accepted."""
        ...

    async def failed(
        self, delivery_id: str, *, status: int | None, error: str, next_at: dt.datetime | None
    ) -> None:
        """It was not; ``None`` for ``next_at`` gives it up."""
        ...

    async def disable(self, webhook_id: str, because: str) -> None:
        """Switch a webhook off and give up what waits for it."""
        ...

    async def page(self, webhook_id: str, *, before: str, limit: int, state: str) -> list[Record]:
        """The delivery log, newest first."""
        ...

    async def resend(self, delivery_id: str, now: dt.datetime) -> Record:
        """Queue it again, whatever became of it. Raises: NotFound."""
        ...

    async def forget_before(self, instant: dt.datetime) -> int:
        """Drop finished messages older than ``instant``; how many."""
        ...


class Endpoint(Protocol):
    """The way to webhooks' endpoints."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, allow_private: bool
    ) -> int:
        """The status of the response. Raises: Refused, Unavailable."""
        ...


class Announcer(Protocol):
    """Tells the other services that the configuration changed."""

    async def announce(self, revision: int) -> None:
        """Best effort: readers poll the revision too."""
        ...


class Probe(Protocol):
    """One part of the switch, asked how it is."""

    name: str

    async def check(self) -> str:
        """Empty when well, otherwise what is wrong."""
        ...
