import pytest

from services.common.causes import (
    SIP_OF_REASON,
    STOP_HUNTING,
    EndReason,
    q850_of_sip,
    reason_of_status,
    sip_of_q850,
)

ONLY_AFTER_ANSWER = {
    EndReason.NORMAL,
    EndReason.RTP_TIMEOUT,
    EndReason.NO_ACK,
    EndReason.MAX_DURATION,
    EndReason.BALANCE_EXHAUSTED,
}
NO_FAILURE = {EndReason.REDIRECTED}


@pytest.mark.parametrize("reason", sorted(set(EndReason) - ONLY_AFTER_ANSWER - NO_FAILURE))
def test_every_reason_before_answer_has_a_final_failure_status(reason: EndReason) -> None:
    assert 400 <= SIP_OF_REASON[reason] < 700


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (200, 16), (403, 21), (404, 1), (408, 102), (480, 18), (484, 28), (486, 17), (487, 16),
        (488, 65), (500, 41), (503, 41), (600, 17), (603, 21), (604, 1),
        (499, 31), (302, 31), (599, 127), (699, 127),
    ],
)  # fmt: skip
def test_q850_of_sip(status: int, cause: int) -> None:
    assert q850_of_sip(status) == cause


@pytest.mark.parametrize(
    ("cause", "status"),
    [(1, 404), (17, 486), (18, 408), (19, 480), (21, 403), (34, 503), (38, 503), (999, 500)],
)
def test_sip_of_q850(cause: int, status: int) -> None:
    assert sip_of_q850(cause) == status


def test_statuses_of_the_called_party_stop_hunting() -> None:
    assert {486, 404, 603} <= STOP_HUNTING
    assert not STOP_HUNTING & {408, 480, 500, 502, 503, 504}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (486, EndReason.BUSY),
        (600, EndReason.BUSY),
        (404, EndReason.NOT_FOUND),
        (480, EndReason.NO_ANSWER),
        (487, EndReason.CANCELLED),
        (488, EndReason.CODEC_MISMATCH),
        (503, EndReason.REJECTED),
        (603, EndReason.REJECTED),
    ],
)
def test_reason_of_status(status: int, reason: EndReason) -> None:
    assert reason_of_status(status) is reason
