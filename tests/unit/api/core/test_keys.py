import datetime as dt

import pytest

from services.api.core import keys
from services.api.core.keys import Caller, StoredKey

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
SECRET = keys.make_key(bytes(range(32)))


def stored(
    *, enabled: bool = True, expires: dt.datetime | None = None, revoked: dt.datetime | None = None
) -> StoredKey:
    return StoredKey("key_1", "usr_1", "u", frozenset(), enabled, expires, revoked)


def test_key_is_recognised_and_compared_by_hash() -> None:
    assert SECRET.startswith("tdm_")
    assert keys.looks_like_key(SECRET)
    assert keys.same_key(SECRET, keys.hash_key(SECRET))
    assert not keys.same_key(SECRET[:-1], keys.hash_key(SECRET))
    assert not keys.looks_like_key(SECRET + "\n")


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", None), ("Bearer", None),
     ("Bearer ", None), (None, None)],
)  # fmt: skip
def test_bearer(header: str | None, token: str | None) -> None:
    assert keys.bearer(header) == token


def test_usable() -> None:
    assert stored().usable(NOW)
    assert stored(expires=NOW + dt.timedelta(seconds=1)).usable(NOW)
    assert not stored(expires=NOW).usable(NOW)
    assert not stored(revoked=NOW).usable(NOW)
    assert not stored(enabled=False).usable(NOW)


@pytest.mark.parametrize(
    ("held", "needed", "allowed"),
    [
        (["*"], "accounts:write", True),
        (["accounts:*"], "accounts:write", True),
        (["*:read"], "cdrs:read", True),
        (["*:read"], "cdrs:write", False),
        (["accounts:read"], "accounts:write", False),
        (["accounts:read"], "cdrs:read", False),
        ([], "cdrs:read", False),
    ],
)
def test_allows(held: list[str], needed: str, *, allowed: bool) -> None:
    assert keys.allows(held, needed) is allowed


def test_nobody_hands_on_more_than_he_holds() -> None:
    assert keys.beyond(["accounts:*", "*:read"], ["accounts:write", "cdrs:read"]) == []
    assert keys.beyond(["accounts:*"], ["*"]) == ["*"]
    assert keys.beyond(["*:read"], ["*:*", "cdrs:*"]) == ["*:*", "cdrs:*"]
    assert keys.beyond(["*"], ["*", "*:*"]) == []


def test_known_scopes() -> None:
    for scope in ("*", "*:read", "cdrs:*", "accounts:write"):
        assert keys.known_scope(scope)
    for scope in ("", "cdrs", "cdrs:delete", "money:read", "cdrs:read "):
        assert not keys.known_scope(scope)


def test_actor_names_user_and_key() -> None:
    assert Caller("usr_1", "u", frozenset(), "key_1").actor == "usr_1/key_1"
    assert Caller("admin", "admin", frozenset()).actor == "admin"
