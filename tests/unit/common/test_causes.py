import pytest

from services.common.causes import (
    SIP_OF_REASON,
    STOP_HUNTING,
    EndReason,
    q850_of_refusal,
    q850_of_sip,
    reason_of_status,
    sip_of_q850,
)

ONLY_AFTER_ANSWER = {
    EndReason.NORMAL,
    EndReason.RTP_TIMEOUT,
    EndReason.SESSION_TIMEOUT,
    EndReason.NO_ACK,
    EndReason.MAX_DURATION,
    EndReason.BALANCE_EXHAUSTED,
}
NO_FAILURE = {EndReason.REDIRECTED}


@pytest.mark.parametrize("reason", sorted(set(EndReason) - ONLY_AFTER_ANSWER - NO_FAILURE))
def test_every_reason_before_answer_has_a_final_failure_status(reason: EndReason) -> None:
    assert 400 <= SIP_OF_REASON[reason] < 700


SIP_TO_Q850 = {
    41: (400, 481, 500, 503), 21: (401, 402, 403, 407, 603), 1: (404, 485, 604), 63: (405,),
    79: (406, 415, 501), 102: (408, 504), 22: (410,), 18: (480,), 25: (482, 483), 28: (484,),
    127: (413, 414, 416, 420, 421, 423, 505, 513, 599, 699), 17: (486, 600), 65: (488, 606),
    38: (502,), 16: (200, 487), 31: (302, 499),
}  # fmt: skip
"""RFC 3398 section 8.2.6.1, and what is said where it says nothing."""

Q850_TO_SIP = {
    404: (1, 2, 3, 26), 486: (17,), 408: (18,), 480: (19, 20, 31), 403: (21, 55, 57, 87),
    410: (22, 23), 502: (27,), 484: (28,), 501: (29, 79), 503: (34, 38, 41, 42, 47, 58, 88),
    488: (65, 70), 504: (102,), 500: (111, 127), 0: (16, 0, 99, 999),
}  # fmt: skip
"""RFC 3398 section 7.2.4.1."""


@pytest.mark.parametrize(
    ("status", "cause"), [(s, c) for c, several in SIP_TO_Q850.items() for s in several]
)
def test_q850_of_sip(status: int, cause: int) -> None:
    assert q850_of_sip(status) == cause


@pytest.mark.parametrize(
    ("reason", "status", "cause"),
    [
        (EndReason.NODE_CAPACITY, 503, 42),
        (EndReason.NODE_CAPACITY, 480, 42),  # whatever the customer's codes make of it
        (EndReason.CUSTOMER_CAPACITY, 503, 41),
        (EndReason.CANCELLED, 487, 16),
        (EndReason.BUSY, 486, 17),
    ],
)
def test_q850_of_refusal(reason: EndReason, status: int, cause: int) -> None:
    assert q850_of_refusal(reason, status) == cause


@pytest.mark.parametrize(("warning", "cause"), [(0, 65), (304, 65), (305, 65), (301, 88)])
def test_a_warning_tells_the_incompatible_destination(warning: int, cause: int) -> None:
    assert q850_of_sip(488, warning) == q850_of_sip(606, warning) == cause
    assert q850_of_sip(486, warning) == 17


@pytest.mark.parametrize(
    ("cause", "status"), [(c, s) for s, several in Q850_TO_SIP.items() for c in several]
)
def test_sip_of_q850(cause: int, status: int) -> None:
    assert sip_of_q850(cause) == status


def test_a_user_who_rejects_declines() -> None:
    assert (sip_of_q850(21, "U"), sip_of_q850(21, "LN"), sip_of_q850(17, "U")) == (603, 403, 486)


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
