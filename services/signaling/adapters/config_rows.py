"""The rows of Postgres that signaling goes by, all of one revision, and how they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from services.common.last_known import Unusable, shape_of
from services.common.postgres import Connection, Pool, bounded

_TIMEOUT_S: Final = 10.0

_STATEMENTS: Final = {
    "customers": """
        SELECT id, account_id, enabled, max_calls, max_cps, tech_prefix, from_user,
               sip::text AS sip
          FROM config.customer_trunk
    """,
    "addresses": "SELECT address, customer_trunk_id FROM config.customer_trunk_address",
    "credentials": """
        SELECT username, customer_trunk_id, realm, ha1::text AS ha1
          FROM config.customer_trunk_credential
    """,
    "vendors": """
        SELECT id, name, lower(host) AS host, port, transport, enabled, sip::text AS sip
          FROM config.vendor_trunk
         ORDER BY id
    """,
    "settings": "SELECT name, value::text AS value FROM config.setting",
    "nonce_keys": "SELECT key FROM config.nonce_key",
}
"""What fills the field of :class:`Rows` of this name."""

SHAPE: Final = shape_of(*_STATEMENTS, *_STATEMENTS.values())

Row: TypeAlias = Mapping[str, Any]
"""Values by column, of the types that the driver gives them."""


class Rows(msgspec.Struct, frozen=True):
    """See the module docstring."""

    customers: list[Row]
    addresses: list[Row]
    credentials: list[Row]
    vendors: list[Row]
    settings: list[Row]
    nonce_keys: list[Row]
    """One, or none."""


NO_ROWS: Final = Rows([], [], [], [], [], [])

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Rows).decode


async def read_rows(pool: Pool) -> Rows:
    """One consistent view of them.

    Raises:
        Unavailable: Postgres does not answer.
    """
    async with (
        bounded("config database", _TIMEOUT_S),
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        return Rows(**{field: await _read(connection, sql) for field, sql in _STATEMENTS.items()})


async def _read(connection: Connection, sql: str) -> list[Row]:
    return [dict(row) for row in await connection.fetch(sql)]


def encode_rows(rows: Rows) -> bytes:
    """As they are kept."""
    return _encode(rows)


def decode_rows(payload: bytes) -> Rows:
    """Rows that were kept.

    Raises:
        Unusable: it is something else.
    """
    try:
        return _decode(payload)
    except msgspec.DecodeError as error:
        raise Unusable(str(error)) from error
