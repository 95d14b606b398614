"""Webhook messages in Postgres. Implements :class:`services.api.ports.Deliveries`."""

import datetime as dt
from collections.abc import Sequence

from services.api.adapters.database import WHAT, Database
from services.api.core.problems import NotFound
from services.api.core.records import Record
from services.api.core.webhook_event import Told
from services.api.ports import Delivery, Subscription
from services.common import ids
from services.common.postgres import transaction

# Longer than one try may take; after a crash the message is tried again this much later.
_CLAIM_S = 60.0

_SUBSCRIPTIONS = """
    SELECT id, url, events, secret, previous_secret FROM config.webhook WHERE enabled ORDER BY id
"""
_ALLOW_PRIVATE = "SELECT value FROM config.setting WHERE name = 'webhooks_allow_private'"
_ADD = """
    INSERT INTO api.webhook_delivery
           (id, webhook_id, event_id, event_type, call_id, body, next_at)
    SELECT m.id, m.webhook_id, m.event_id, m.event_type, m.call_id, m.body, now()
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[])
        AS m (id, webhook_id, event_id, event_type, call_id, body)
      JOIN config.webhook w ON w.id = m.webhook_id
    ON CONFLICT (webhook_id, event_id) DO NOTHING
"""
# The same share for each webhook, so that one with a long queue leaves room for the others.
_DUE = """
    UPDATE api.webhook_delivery d SET attempts = d.attempts + 1, next_at = $1 + $4::interval
      FROM (SELECT p.id, w.url, w.secret, w.previous_secret
              FROM config.webhook w
             CROSS JOIN LATERAL (
                   SELECT q.id FROM api.webhook_delivery q
                    WHERE q.webhook_id = w.id AND q.state = 'pending' AND q.next_at <= $1
                    ORDER BY q.next_at LIMIT $2
                      FOR UPDATE SKIP LOCKED) p
             WHERE w.enabled AND NOT w.id = ANY($5::text[])
             LIMIT $3) due
     WHERE d.id = due.id
 RETURNING d.id, d.webhook_id, d.event_type, d.body, d.attempts, due.url, due.secret,
           due.previous_secret
"""
_NEXT_AT = """
    SELECT min(d.next_at) FROM api.webhook_delivery d
      JOIN config.webhook w ON w.id = d.webhook_id AND w.enabled
     WHERE d.state = 'pending'
"""
_DONE = """
    UPDATE api.webhook_delivery
       SET state = 'delivered', last_status = $2, last_error = NULL, next_at = NULL,
           finished_at = now()
     WHERE id = $1
"""
_FAILED = """
    UPDATE api.webhook_delivery
       SET state = CASE WHEN $4::timestamptz IS NULL THEN 'failed' ELSE 'pending' END,
           last_status = $2, last_error = $3, next_at = $4,
           finished_at = CASE WHEN $4::timestamptz IS NULL THEN now() END
     WHERE id = $1
"""
_DISABLE = """
    UPDATE config.webhook SET enabled = false, disabled_because = $2, updated_at = now()
     WHERE id = $1
"""
_GIVE_UP = """
    UPDATE api.webhook_delivery
       SET state = 'failed', next_at = NULL, last_error = $2, finished_at = now()
     WHERE webhook_id = $1 AND state = 'pending'
"""
_SHOWN = """
    id, webhook_id, event_id, event_type, call_id, attempts, state, next_at, last_status,
    last_error, created_at, finished_at
"""
_PAGE = f"""
    SELECT {_SHOWN} FROM api.webhook_delivery
     WHERE webhook_id = $1 AND ($2 = '' OR id < $2) AND ($4 = '' OR state = $4)
     ORDER BY id DESC LIMIT $3
"""  # noqa: S608 - constants
_RESEND = f"""
    UPDATE api.webhook_delivery
       SET state = 'pending', attempts = 0, next_at = $2, finished_at = NULL
     WHERE id = $1 RETURNING {_SHOWN}
"""  # noqa: S608 - constants
_FORGET = "DELETE FROM api.webhook_delivery WHERE state <> 'pending' AND finished_at < $1"


class PostgresDeliveries:
    """A queue in a table: what is taken is not seen by other senders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def subscriptions(self) -> tuple[list[Subscription], bool]:
        """See :meth:`services.api.ports.Deliveries.subscriptions`."""
        rows = await self._database.fetch(_SUBSCRIPTIONS)
        allow = await self._database.fetchrow(_ALLOW_PRIVATE)
        return [
            Subscription(
                row["id"], row["url"], tuple(row["events"]), _secrets(row["secret"], row[4])
            )
            for row in rows
        ], allow is not None and allow["value"] is True

    async def add(self, told: Sequence[tuple[str, Told]]) -> int:
        """See :meth:`services.api.ports.Deliveries.add`."""
        status = await self._database.execute(
            _ADD,
            [ids.new_id(ids.DELIVERY) for _ in told],
            [webhook_id for webhook_id, _ in told],
            [one.event_id for _, one in told],
            [one.event_type for _, one in told],
            [one.call_id for _, one in told],
            [one.body for _, one in told],
        )
        return int(status.split()[-1])

    async def due(
        self, now: dt.datetime, *, per_webhook: int, limit: int, busy: Sequence[str] = ()
    ) -> list[Delivery]:
        """See :meth:`services.api.ports.Deliveries.due`."""
        claim = dt.timedelta(seconds=_CLAIM_S)
        rows = await self._database.fetch(_DUE, now, per_webhook, limit, claim, list(busy))
        return [
            Delivery(
                id=row["id"],
                subscription=Subscription(
                    row["webhook_id"],
                    row["url"],
                    (),
                    _secrets(row["secret"], row["previous_secret"]),
                ),
                event_type=row["event_type"],
                body=row["body"],
                attempts=row["attempts"],
            )
            for row in rows
        ]

    async def next_at(self) -> dt.datetime | None:
        """See :meth:`services.api.ports.Deliveries.next_at`."""
        row = await self._database.fetchrow(_NEXT_AT)
        return None if row is None else row[0]

    async def done(self, delivery_id: str, status: int) -> None:
        """See :meth:`services.api.ports.Deliveries.done`."""
        await self._database.execute(_DONE, delivery_id, status)

    async def failed(
        self, delivery_id: str, *, status: int | None, error: str, next_at: dt.datetime | None
    ) -> None:
        """See :meth:`services.api.ports.Deliveries.failed`."""
        await self._database.execute(_FAILED, delivery_id, status, error, next_at)

    async def disable(self, webhook_id: str, because: str) -> None:
        """See :meth:`services.api.ports.Deliveries.disable`."""
        database = self._database
        async with transaction(database.pool, WHAT, timeout_s=database.timeout_s) as connection:
            await connection.execute(_DISABLE, webhook_id, because)
            await connection.execute(_GIVE_UP, webhook_id, because)

    async def page(self, webhook_id: str, *, before: str, limit: int, state: str) -> list[Record]:
        """See :meth:`services.api.ports.Deliveries.page`."""
        return [
            dict(row)
            for row in await self._database.fetch(_PAGE, webhook_id, before, limit, state)
        ]

    async def resend(self, delivery_id: str, now: dt.datetime) -> Record:
        """See :meth:`services.api.ports.Deliveries.resend`."""
        row = await self._database.fetchrow(_RESEND, delivery_id, now)
        if row is None:
            raise NotFound("webhook_delivery", delivery_id)
        return dict(row)

    async def forget_before(self, instant: dt.datetime) -> int:
        """See :meth:`services.api.ports.Deliveries.forget_before`."""
        return int((await self._database.execute(_FORGET, instant)).split()[-1])


def _secrets(secret: str, previous: str | None) -> tuple[str, ...]:
    return (secret,) if previous is None else (secret, previous)
