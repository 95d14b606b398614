"""Standard Webhooks: secrets, signatures, when to try again."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum

SECRET_BYTES = 32
SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of a secret, not one

# The schedule Standard Webhooks recommends, in seconds: soon, then over a little more than a day.
RETRIES_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 36_000)

_JITTER = 0.2


class Outcome(StrEnum):
    """What an endpoint's answer means."""

    DELIVERED = "delivered"
    RETRY = "retry"
    GONE = "gone"
    """410: the endpoint wants no more; the webhook is switched off."""


def make_secret(random: bytes) -> str:
    """The text of a signing secret from random bytes."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def valid_secret(text: str) -> bool:
    """Whether ``text`` is ``whsec_`` and 24 to 64 bytes in base64."""
    try:
        key = _key(text)
    except binascii.Error:
        return False
    return text.startswith(SECRET_PREFIX) and 24 <= len(key) <= 64


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)


def headers(secrets: Iterable[str], message_id: str, unix_s: int, body: bytes) -> dict[str, str]:
    """The three headers of one delivery, signed with every secret in force.

    Two are in force while one is being replaced: the receiver may change over at leisure.
    """
    content = b"%b.%d.%b" % (message_id.encode(), unix_s, body)
    signatures = [
        "v1," + base64.b64encode(hmac.digest(_key(secret), content, hashlib.sha256)).decode()
        for secret in secrets
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(unix_s),
        "webhook-signature": " ".join(signatures),
    }


def outcome_of(status: int) -> Outcome:
    """What the status of the endpoint's response means; redirects are failures."""
    if 200 <= status < 300:
        return Outcome.DELIVERED
    return Outcome.GONE if status == 410 else Outcome.RETRY


def retry_in_s(attempts: int, jitter: float) -> float | None:
    """Seconds until the next try after ``attempts`` failed ones; ``None`` when it was the last.

    ``jitter`` (0 to 1, random) spreads endpoints that failed together by a fifth.
    """
    if attempts > len(RETRIES_S):
        return None
    return RETRIES_S[attempts - 1] * (1 + _JITTER * jitter)
