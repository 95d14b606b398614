"""How each kind of object lies in the configuration tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.api.core.kinds import Kind


@dataclass(frozen=True, slots=True)
class Child:
    """A field that is a set of rows in another table."""

    field: str
    table: str
    owner: str
    value: str

    @property
    def expression(self) -> str:
        """The set as a sorted array."""
        return (
            f"ARRAY(SELECT c.{self.value} FROM {self.table} c"  # noqa: S608 - constants
            f" WHERE c.{self.owner} = t.id ORDER BY 1) AS {self.field}"
        )

    @property
    def insertion(self) -> str:
        """Adds the values of $2 to the owner $1."""
        there = f"INSERT INTO {self.table} ({self.owner}, {self.value})"
        return f"{there} SELECT $1, unnest($2::text[])"


@dataclass(frozen=True, slots=True)
class Rows:
    """A field that is a list of objects, each a row in another table."""

    field: str
    table: str
    owner: str
    columns: Mapping[str, str]
    """Types by name; sorted by the first."""

    @property
    def expression(self) -> str:
        """The rows as an array of objects."""
        pairs = ", ".join(f"'{name}', c.{name}" for name in self.columns)
        return (
            f"ARRAY(SELECT jsonb_build_object({pairs}) FROM {self.table} c"  # noqa: S608
            f" WHERE c.{self.owner} = t.id ORDER BY c.{next(iter(self.columns))}) AS {self.field}"
        )

    @property
    def insertion(self) -> str:
        """Adds the objects of $2 to the owner $1."""
        names = ", ".join(self.columns)
        typed = ", ".join(f"{name} {kind}" for name, kind in self.columns.items())
        there = f"INSERT INTO {self.table} ({self.owner}, {names})"
        return f"{there} SELECT $1, {names} FROM jsonb_to_recordset($2) AS r({typed})"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Table:
    """One table and its columns; every name here is a constant of ours."""

    name: str
    columns: tuple[str, ...]
    """Fields that are columns of the same name, or as ``renamed`` says."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    written_only: tuple[str, ...] = ()
    """Columns that are stored and never read back."""
    extra: tuple[str, ...] = ()
    """Expressions shown beside the columns."""
    joins: str = ""
    children: tuple[Child | Rows, ...] = ()
    key: str = "id"
    filters: tuple[str, ...] = ()
    """Fields a list can be narrowed by."""
    stamped: bool = True
    """Has ``updated_at``."""
    dated: bool = True
    """Has ``created_at``."""

    def column(self, name: str) -> str:
        """The column behind a field."""
        return self.renamed.get(name, name)

    @property
    def writable(self) -> tuple[str, ...]:
        """Fields that can be stored in this very table."""
        return (*self.columns, *self.written_only)

    @property
    def select(self) -> str:
        """Everything shown of an object, without a condition."""
        plain = [f"t.{self.column(name)} AS {name}" for name in self.columns]
        stamps = ["t.updated_at"] if self.stamped else []
        made = ["t.created_at"] if self.dated else []
        sets = [child.expression for child in self.children]
        shown = ", ".join([*plain, *self.extra, *sets, *made, *stamps])
        return f"SELECT {shown} FROM {self.name} t {self.joins}"  # noqa: S608 - constants


TABLES: dict[Kind, Table] = {
    Kind.ACCOUNT: Table(
        "config.account",
        ("id", "name", "currency", "enabled", "credit_limit", "digits", "rounding",
         "precision_ms", "reserve_s"),
        extra=("coalesce(m.balance, 0) AS balance", "coalesce(m.leased, 0) AS reserved"),
        joins="LEFT JOIN money.account m ON m.account_id = t.id",
        filters=("name", "currency"),
    ),
    Kind.RATE_DECK: Table(
        "config.deck",
        ("id", "name", "currency"),
        extra=("t.version",),
        filters=("name", "currency"),
    ),
    Kind.CUSTOMER_TRUNK: Table(
        "config.customer_trunk",
        ("id", "name", "account_id", "rate_deck_id", "enabled", "max_calls", "max_cps",
         "max_call_s", "max_attempts", "media_proxy", "tech_prefix", "from_user", "sip"),
        renamed={"rate_deck_id": "deck_id"},
        children=(
            Child("addresses", "config.customer_trunk_address", "customer_trunk_id", "address"),
            Child("vendor_trunk_ids", "config.customer_trunk_vendor", "customer_trunk_id",
                  "vendor_trunk_id"),
            Rows("credentials", "config.customer_trunk_credential", "customer_trunk_id",
                 {"username": "text", "realm": "text", "ha1": "jsonb"}),
        ),
        filters=("name", "account_id", "rate_deck_id"),
    ),
    Kind.VENDOR_TRUNK: Table(
        "config.vendor_trunk",
        ("id", "name", "account_id", "rate_deck_id", "host", "port", "transport", "enabled",
         "priority", "weight", "max_calls", "max_cps", "media_proxy", "callee_strip",
         "callee_prepend", "trying_timeout_ms", "ringing_timeout_ms", "stop_codes", "sip"),
        renamed={"rate_deck_id": "deck_id"},
        filters=("name", "account_id", "rate_deck_id"),
    ),
    Kind.USER: Table("config.api_user", ("id", "name", "scopes", "enabled"), filters=("name",)),
    Kind.API_KEY: Table(
        "config.api_key",
        ("id", "user_id", "last_four", "expires_at", "revoked_at", "last_used_at"),
        written_only=("hash",),
        filters=("user_id",),
        stamped=False,
    ),
    Kind.WEBHOOK: Table(
        "config.webhook",
        ("id", "url", "events", "secret", "previous_secret", "enabled", "disabled_because"),
    ),
    Kind.SETTING: Table("config.setting", ("name", "value"), key="name", dated=False),
    Kind.RATE: Table(
        "config.rate",
        ("id", "rate_deck_id", "prefix", "destination", "connect_fee", "first_price",
         "next_price", "first_s", "next_s", "minimum", "free_s", "grace_s", "blocked",
         "valid_from", "valid_till"),
        renamed={"rate_deck_id": "deck_id"},
        stamped=False,
        dated=False,
    ),
}  # fmt: skip

REFERENCES: dict[Kind, tuple[tuple[str, str, str], ...]] = {
    Kind.ACCOUNT: (
        ("customer_trunk", "config.customer_trunk", "account_id"),
        ("vendor_trunk", "config.vendor_trunk", "account_id"),
    ),
    Kind.RATE_DECK: (
        ("customer_trunk", "config.customer_trunk", "deck_id"),
        ("vendor_trunk", "config.vendor_trunk", "deck_id"),
    ),
    # Else a customer allowed only this vendor would be left with an empty list: all vendors.
    Kind.VENDOR_TRUNK: (
        (
            "customer_trunk",
            "(SELECT v.vendor_trunk_id, t.name FROM config.customer_trunk_vendor v"
            " JOIN config.customer_trunk t ON t.id = v.customer_trunk_id)",
            "vendor_trunk_id",
        ),
    ),
}
"""Who may stand in the way of removing an object: kind, table, column."""
