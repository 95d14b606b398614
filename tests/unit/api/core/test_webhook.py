import base64

import pytest

from services.api.core.webhook import (
    RETRIES_S,
    Outcome,
    headers,
    make_secret,
    outcome_of,
    retry_in_s,
    valid_secret,
)


def test_signature_is_that_of_the_standard() -> None:
    # The example of the Standard Webhooks reference libraries.
    signed = headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_two_secrets_make_two_signatures() -> None:
    old, new = make_secret(b"a" * 32), make_secret(b"b" * 32)
    both = headers([new, old], "id", 1, b"{}")["webhook-signature"].split()
    assert both == [
        headers([new], "id", 1, b"{}")["webhook-signature"],
        headers([old], "id", 1, b"{}")["webhook-signature"],
    ]


def test_secrets() -> None:
    assert valid_secret(make_secret(b"a" * 32))
    for text in ("", "whsec_", "whsec_!!!", "whsec_" + base64.b64encode(b"short").decode()):
        assert not valid_secret(text)
    assert not valid_secret(base64.b64encode(b"a" * 32).decode())


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, Outcome.DELIVERED), (204, Outcome.DELIVERED), (302, Outcome.RETRY),
     (404, Outcome.RETRY), (410, Outcome.GONE), (500, Outcome.RETRY)],
)  # fmt: skip
def test_outcome(status: int, outcome: Outcome) -> None:
    assert outcome_of(status) is outcome


def test_retries_grow_for_more_than_a_day_then_end() -> None:
    waits = [retry_in_s(attempt, 0.0) for attempt in range(1, len(RETRIES_S) + 2)]
    assert waits[-1] is None
    given = [wait for wait in waits if wait is not None]
    assert given == sorted(given)
    assert 86_400 < sum(given) < 2 * 86_400
    assert retry_in_s(1, 1.0) == pytest.approx(6.0)
