"""The kinds of configuration objects, and what they have in common."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A kind of object, by the word that people use for one of them."""

    ACCOUNT = "account"
    RATE_DECK = "rate_deck"
    CUSTOMER_TRUNK = "customer_trunk"
    VENDOR_TRUNK = "vendor_trunk"
    USER = "user"
    API_KEY = "api_key"
    WEBHOOK = "webhook"
    SETTING = "setting"
    RATE = "rate"


@dataclass(frozen=True, slots=True)
class Traits:
    """What sets one kind apart."""

    id_prefix: str = ""
    """As in ``services.common.ids``, which reads the clock and so stays out of the core."""
    identity: str = "name"
    """The field that names an object to people, unique among its kind."""
    computed: frozenset[str] = frozenset()
    """Fields that are no configuration: shown, never compared."""


TRAITS = {
    Kind.ACCOUNT: Traits("acc", computed=frozenset({"balance", "reserved"})),
    Kind.RATE_DECK: Traits("dck", computed=frozenset({"version", "rate_count"})),
    Kind.CUSTOMER_TRUNK: Traits("ctr"),
    Kind.VENDOR_TRUNK: Traits("vtr"),
    Kind.USER: Traits("usr"),
    Kind.API_KEY: Traits("key", "id", frozenset({"last_used_at"})),
    Kind.WEBHOOK: Traits("whk", "url"),
    Kind.SETTING: Traits("", "name"),
    Kind.RATE: Traits("", "id"),
}
