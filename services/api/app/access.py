"""Who is asking: API keys, checked once and remembered for a moment."""

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable

from services.api.core.keys import (
    Caller,
    StoredKey,
    bearer,
    hash_key,
    looks_like_key,
    same_key,
)
from services.api.core.problems import Unauthenticated
from services.api.ports import Keys

ADMIN = "admin"
"""The user behind the key of the environment."""

# A revoked key may work this much longer, on this process; dropped at once where it was revoked.
_REMEMBERED_S = 5.0
_MOST_REMEMBERED = 4096


class Access:
    """Turns the key of a request into a caller."""

    def __init__(
        self,
        keys: Keys,
        *,
        admin_key: str,
        utc_now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._admin_hash = hash_key(admin_key) if admin_key else None
        self._utc_now = utc_now
        self._monotonic = monotonic
        self._remembered: OrderedDict[bytes, tuple[float, StoredKey]] = OrderedDict()
        self._used: dict[str, dt.datetime] = {}

    async def caller(self, authorization: str | None, source: str) -> Caller:
        """Who sent an ``Authorization`` header.

        Raises:
            Unauthenticated: nobody we know.
            Unavailable: it cannot be found out now.
        """
        text = bearer(authorization)
        if text is None:
            raise Unauthenticated("send the API key as Authorization: Bearer tdm_...")
        if self._admin_hash is not None and same_key(text, self._admin_hash):
            return Caller(ADMIN, ADMIN, frozenset({"*"}), source=source)
        stored = await self._find(text)
        now = self._utc_now()
        if stored is None or not stored.usable(now):
            raise Unauthenticated("the API key is unknown, expired, revoked or disabled")
        self._used[stored.key_id] = now
        return Caller(stored.user_id, stored.user_name, stored.scopes, stored.key_id, source)

    def forget(self) -> None:
        """Users or keys changed: look everything up again."""
        self._remembered.clear()

    async def write_last_used(self) -> None:
        """Write down when keys were last used. Raises: Unavailable."""
        if not self._used:
            return
        used, self._used = self._used, {}
        await self._keys.used(used)

    async def _find(self, text: str) -> StoredKey | None:
        if not looks_like_key(text):
            return None
        key_hash, now = hash_key(text), self._monotonic()
        remembered = self._remembered.get(key_hash)
        if remembered is not None and now - remembered[0] < _REMEMBERED_S:
            return remembered[1]
        stored = await self._keys.find(key_hash)
        self._remembered.pop(key_hash, None)
        if stored is not None:
            self._remembered[key_hash] = (now, stored)
            if len(self._remembered) > _MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return stored
