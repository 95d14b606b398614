"""How long a peer asks to be left alone."""

from __future__ import annotations

import pytest

from services.signaling.core.retry_after import retry_after_s
from tests.support.signaling.machine import wire_request


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("18000;duration=3600", 18_000),
        ("120 (I'm in a meeting)", 120),
        ("0", 0),
        ("-5", 0),
        ("soon", 0),
        ("12monkeys", 0),
        ("99999999999999999999", 0),
        ("", 0),
    ],
)
def test_retry_after(value: str, seconds: int) -> None:
    assert retry_after_s(wire_request("OPTIONS", headers=[f"Retry-After: {value}"])) == seconds


def test_no_header() -> None:
    assert retry_after_s(wire_request("OPTIONS")) == 0
