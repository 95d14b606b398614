"""Idempotency keys in Postgres. Implements :class:`services.api.ports.Answers`."""

import datetime as dt
from collections.abc import Sequence

from services.api.adapters.database import WHAT, Database
from services.api.core.idempotency import CLAIM, KEPT, Kept
from services.common.postgres import transaction

# Takes over what has expired, and claims whose holder died; two requests cannot both succeed,
# since the second one's WHERE is checked again once the first has committed.
_CLAIM = """
    INSERT INTO api.idempotency_key AS k (user_id, key, request_hash, created_at)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (user_id, key) DO UPDATE
       SET request_hash = excluded.request_hash, status = NULL, headers = NULL, body = NULL,
           created_at = excluded.created_at
     WHERE k.created_at <= $5
        OR (k.status IS NULL AND k.request_hash = excluded.request_hash AND k.created_at <= $6)
    RETURNING true
"""
_READ = """
    SELECT request_hash, status, headers, body, created_at FROM api.idempotency_key
     WHERE user_id = $1 AND key = $2
"""
_KEEP = """
    UPDATE api.idempotency_key SET status = $3, headers = $4, body = $5
     WHERE user_id = $1 AND key = $2
"""
_RELEASE = "DELETE FROM api.idempotency_key WHERE user_id = $1 AND key = $2 AND status IS NULL"
_FORGET = "DELETE FROM api.idempotency_key WHERE created_at < $1"


class PostgresAnswers:
    """Claims keys and keeps answers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, user_id: str, key: str, request_hash: bytes, now: dt.datetime
    ) -> Kept | None:
        """See :meth:`services.api.ports.Answers.claim`."""
        database = self._database
        async with transaction(database.pool, WHAT, timeout_s=database.timeout_s) as connection:
            claimed = await connection.fetchval(
                _CLAIM, user_id, key, request_hash, now, now - KEPT, now - CLAIM
            )
            if claimed:
                return None
            row = await connection.fetchrow(_READ, user_id, key)
        if row is None:
            # Released between the two statements: whoever held it settled nothing.
            return Kept(request_hash, None, (), b"", now)
        return Kept(
            request_hash=row["request_hash"],
            status=row["status"],
            headers=tuple((name, value) for name, value in row["headers"] or ()),
            body=row["body"] or b"",
            created_at=row["created_at"],
        )

    async def keep(
        self,
        user_id: str,
        key: str,
        *,
        status: int,
        headers: Sequence[tuple[str, str]],
        body: bytes,
    ) -> None:
        """See :meth:`services.api.ports.Answers.keep`."""
        shown = [list(pair) for pair in headers]
        await self._database.execute(_KEEP, user_id, key, status, shown, body)

    async def release(self, user_id: str, key: str) -> None:
        """See :meth:`services.api.ports.Answers.release`."""
        await self._database.execute(_RELEASE, user_id, key)

    async def forget_before(self, instant: dt.datetime) -> int:
        """See :meth:`services.api.ports.Answers.forget_before`."""
        return int((await self._database.execute(_FORGET, instant)).split()[-1])
