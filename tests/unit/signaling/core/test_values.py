"""What others tell us."""

from __future__ import annotations

from tests.support.signaling.machine import candidate


def test_target_is_written_as_records_want_it() -> None:
    assert candidate(1).target == "198.51.100.1:5060;udp"
    v6 = candidate(1, host="2001:db8::1", port=5061, transport="tcp")
    assert v6.target == "[2001:db8::1]:5061;tcp"


def test_stop_codes() -> None:
    assert candidate(1).stops_at(486)
    assert not candidate(1).stops_at(503)
    assert candidate(1, stop_codes=(503,)).stops_at(503)
    assert not candidate(1, stop_codes=(503,)).stops_at(486)
