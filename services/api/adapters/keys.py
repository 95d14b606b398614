"""API keys in Postgres. Implements :class:`services.api.ports.Keys`."""

import datetime as dt
from collections.abc import Mapping

from services.api.adapters.database import Database
from services.api.core.keys import StoredKey

_FIND = """
    SELECT k.id, k.user_id, u.name, u.scopes, u.enabled, k.expires_at, k.revoked_at
      FROM config.api_key k JOIN config.api_user u ON u.id = k.user_id
     WHERE k.hash = $1
"""
_USED = """
    UPDATE config.api_key k SET last_used_at = u.at
      FROM unnest($1::text[], $2::timestamptz[]) AS u (id, at)
     WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
"""


class PostgresKeys:
    """Finds keys by their hash."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key_hash: bytes) -> StoredKey | None:
        """See :meth:`services.api.ports.Keys.find`."""
        row = await self._database.fetchrow(_FIND, key_hash)
        if row is None:
            return None
        return StoredKey(
            key_id=row["id"],
            user_id=row["user_id"],
            user_name=row["name"],
            scopes=frozenset(row["scopes"]),
            user_enabled=row["enabled"],
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
        )

    async def used(self, last_used: Mapping[str, dt.datetime]) -> None:
        """See :meth:`services.api.ports.Keys.used`."""
        await self._database.execute(_USED, list(last_used), list(last_used.values()))
