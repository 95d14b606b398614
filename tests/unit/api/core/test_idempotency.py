import datetime as dt

import pytest

from services.api.core.idempotency import CLAIM, KEPT, Decision, Kept, decide, fingerprint
from services.api.core.idempotency import worth_keeping as keep

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
HASH = fingerprint("POST", "/v1/accounts?", b"{}")


def kept(status: int | None, age: dt.timedelta) -> Kept:
    return Kept(HASH, status, (), b"", NOW - age)


@pytest.mark.parametrize(
    ("earlier", "decision"),
    [
        (None, Decision.PROCEED),
        (kept(201, dt.timedelta(seconds=1)), Decision.REPLAY),
        (kept(201, KEPT), Decision.PROCEED),
        (kept(None, dt.timedelta(seconds=1)), Decision.BUSY),
        (kept(None, CLAIM), Decision.PROCEED),
    ],
)
def test_same_request(earlier: Kept | None, decision: Decision) -> None:
    assert decide(earlier, HASH, NOW) is decision


@pytest.mark.parametrize("status", [None, 201])
def test_other_request_under_the_same_key(status: int | None) -> None:
    other = fingerprint("POST", "/v1/accounts?", b"{ }")
    assert decide(kept(status, dt.timedelta(0)), other, NOW) is Decision.MISMATCH


def test_method_target_and_body_all_count() -> None:
    assert (
        len({HASH, fingerprint("PUT", "/v1/accounts?", b"{}"), fingerprint("POST", "/", b"{}")})
        == 3
    )


def test_what_settles_nothing_is_not_kept() -> None:
    statuses = (200, 201, 401, 403, 404, 422, 429, 500, 503)
    assert [status for status in statuses if keep(status)] == [200, 201, 404, 422]
