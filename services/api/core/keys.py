"""API keys and what they may do."""

import base64
import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "tdm_"
"""So that a key found in a repository or a log is known for what it is."""

SECRET_BYTES = 32

RESOURCES = (
    "accounts",
    "payments",
    "customer_trunks",
    "vendor_trunks",
    "rate_decks",
    "users",
    "webhooks",
    "settings",
    "audit_events",
    "calls",
    "registrations",
    "cdrs",
    "quotes",
    "simulations",
    "health",
    "guard",
)
"""Each has the scopes ``name:read`` and ``name:write``; ``rate_decks`` covers rates and imports,
``users`` covers their API keys. ``*`` is everything, ``*:read`` everything that only reads."""

_SCOPE = re.compile(r"(\*|[a-z_]{1,40}):(read|write|\*)")
_KEY = re.compile(r"tdm_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, proven by a key."""

    user_id: str
    name: str
    scopes: frozenset[str]
    key_id: str = ""
    source: str = ""
    """Address the request came from."""

    @property
    def actor(self) -> str:
        """What the audit log calls this caller."""
        return f"{self.user_id}/{self.key_id}" if self.key_id else self.user_id


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as the database knows it, with its user."""

    key_id: str
    user_id: str
    user_name: str
    scopes: frozenset[str]
    user_enabled: bool
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None

    def usable(self, now: dt.datetime) -> bool:
        """Whether it opens anything at ``now``."""
        expired = self.expires_at is not None and self.expires_at <= now
        return self.user_enabled and not expired and self.revoked_at is None


def make_key(random: bytes) -> str:
    """The secret text of a new key from 32 random bytes."""
    return PREFIX + base64.urlsafe_b64encode(random).decode().rstrip("=")


def looks_like_key(text: str) -> bool:
    """Whether ``text`` has the form of a key we made: spares the database guesses."""
    return _KEY.fullmatch(text) is not None


def hash_key(text: str) -> bytes:
    """What is stored. A 256-bit random secret needs no salt and no slow hash."""
    return hashlib.sha256(text.encode()).digest()


def same_key(text: str, stored_hash: bytes) -> bool:
    """Whether ``text`` hashes to ``stored_hash``, in constant time."""
    return hmac.compare_digest(hash_key(text), stored_hash)


def bearer(authorization: str | None) -> str | None:
    """The token of an ``Authorization: Bearer`` header (RFC 6750 section 2.1)."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def known_scope(scope: str) -> bool:
    """Whether ``scope`` is one a user can be given."""
    if scope == "*":
        return True
    found = _SCOPE.fullmatch(scope)
    return found is not None and (found[1] == "*" or found[1] in RESOURCES)


def allows(held: Iterable[str], needed: str) -> bool:
    """Whether one of the scopes ``held`` includes the scope ``needed``."""
    resource, _, action = needed.partition(":")
    for scope in held:
        if scope == "*":
            return True
        have_resource, _, have_action = scope.partition(":")
        if have_resource in (resource, "*") and have_action in (action, "*"):
            return True
    return False


def beyond(held: Iterable[str], asked: Iterable[str]) -> list[str]:
    """The scopes of ``asked`` that a holder of ``held`` may not hand on."""
    own = list(held)
    return sorted({scope for scope in asked if not allows(own, scope)})
