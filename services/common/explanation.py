"""Why a call went where it went: written by routing, kept in the record, shown to operators."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """What became of one vendor trunk when a call was planned."""

    CANDIDATE = "candidate"
    NO_RATE = "no_rate"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    DISABLED = "disabled"
    ACCOUNT_DISABLED = "account_disabled"
    NOT_ALLOWED = "not_allowed"
    CAPACITY = "capacity"
    SAME_TRUNK = "same_trunk"
    CURRENCY = "currency"
    UNKNOWN = "unknown"
    """The customer's routing server named what is no vendor trunk."""
    LIMIT = "limit"
    """A usable vendor beyond the number of attempts allowed."""


class Considered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vendor trunk that was looked at."""

    vendor_trunk_id: str
    name: str
    verdict: Verdict
    order: int = 0
    """1 for the vendor tried first; 0 when dropped."""
    prefix: str | None = None
    rate_id: int | None = None
    cost: str | None = None
    """What the vendors were compared by: decimal string, per minute, in ``currency``."""
    currency: str = ""
    priority: int = 0
    weight: int = 1
    because: str = ""
    """One sentence for people: why it stands here, or why it was dropped."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One routing decision."""

    customer_trunk_id: str = ""
    called: str = ""
    """The number that was matched, after rewriting."""
    sell_deck_id: str = ""
    sell_prefix: str | None = None
    sell_rate_id: int | None = None
    sell_price: str | None = None
    refused: str = ""
    """The end reason when the call may not go at all."""
    because: str = ""
    note: str = ""
    """What came before the decision: a routing server that offered routes, or failed."""
    considered: tuple[Considered, ...] = ()


encode_explanation = msgspec.json.Encoder().encode
decode_explanation = msgspec.json.Decoder(Explanation).decode
