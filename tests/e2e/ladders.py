"""The scenarios of both ends, call by call."""

from tests.support.scenarios import (
    PROVISIONAL,
    ack,
    ack_failure,
    cancel,
    expect,
    in_dialog,
    invite,
    pause,
    receive,
    receive_ack,
    reply,
    reply_in_dialog,
    reply_terminated,
    request_from_callee,
    scenario,
    sdp,
)

RINGING = reply("180 Ringing")
ANSWER = reply("200 OK", body=sdp(), retransmit=True)
BYE_FROM_CALLER = (in_dialog("BYE", 2), expect(200, log="ended"))
HUNG_UP_ON = (receive("BYE"), reply_in_dialog("200 OK", log="ended"))
ANSWERED = (invite(), PROVISIONAL, expect(200, log="answered"), ack())


def refused_caller(status: int) -> str:
    """The call is refused with ``status``."""
    return scenario(f"refused {status}", invite(), PROVISIONAL, expect(status), ack_failure())


def refusing_vendor(start: str) -> str:
    """Refuses every call."""
    return scenario(start, receive("INVITE"), reply(start), receive("ACK"))


CANCEL_WHILE_RINGING = scenario(
    "caller cancels while it rings",
    invite(),
    expect(100, optional=True),
    expect(180),
    cancel(),
    expect(200),
    expect(487),
    ack_failure(),
)
CANCELLED_VENDOR = scenario(
    "vendor rings and is cancelled",
    receive("INVITE"),
    RINGING,
    receive("CANCEL"),
    reply_in_dialog("200 OK"),
    reply_terminated(),
    receive("ACK"),
)
CANCEL_BEFORE_RINGING = scenario(
    "caller cancels before anything rings",
    invite(),
    expect(100),
    pause(300),
    cancel(),
    expect(200),
    expect(487),
    ack_failure(),
)
TRYING_VENDOR = scenario(
    "vendor only says 100 and is cancelled",
    receive("INVITE"),
    reply("100 Trying", contact=False),
    receive("CANCEL"),
    reply_in_dialog("200 OK"),
    reply_terminated(),
    receive("ACK"),
)
VENDOR_HANGS_UP = scenario(
    "vendor hangs up",
    receive("INVITE"),
    RINGING,
    ANSWER,
    receive_ack(),
    pause(),
    request_from_callee("BYE", 1),
    expect(200, log="ended"),
)
CALLER_IS_HUNG_UP_ON = scenario("caller is hung up on", *ANSWERED, *HUNG_UP_ON)
HUNG_UP_ON_VENDOR = scenario(
    "vendor is hung up on",
    receive("INVITE"),
    RINGING,
    ANSWER,
    receive("ACK", log="acked"),
    *HUNG_UP_ON,
)

REINVITING_CALLER = scenario(
    "caller moves its media, holds, resumes, hangs up",
    *ANSWERED,
    pause(300),
    in_dialog("INVITE", 2, body=sdp(version=2, port="40002")),
    expect(100, optional=True),
    expect(200),
    ack(sequence=2),
    pause(300),
    in_dialog("INVITE", 3, body=sdp(version=3, port="40002", direction="sendonly")),
    expect(100, optional=True),
    expect(200),
    ack(sequence=3),
    pause(300),
    in_dialog("INVITE", 4, body=sdp(version=4, port="40002")),
    expect(100, optional=True),
    expect(200),
    ack(sequence=4),
    pause(300),
    in_dialog("BYE", 5),
    expect(200, log="ended"),
)


def _accept_reinvite(direction: str) -> tuple[str, ...]:
    return (
        receive("INVITE"),
        reply_in_dialog("200 OK", body=sdp(version=2, direction=direction)),
        receive("ACK"),
    )


REINVITED_VENDOR = scenario(
    "vendor accepts re-INVITEs",
    receive("INVITE"),
    RINGING,
    ANSWER,
    receive("ACK", log="acked"),
    *_accept_reinvite("sendrecv"),
    *_accept_reinvite("recvonly"),
    *_accept_reinvite("sendrecv"),
    *HUNG_UP_ON,
)
LATE_OFFER_CALLER = scenario(
    "caller offers nothing and answers in the ACK",
    invite(body=""),
    PROVISIONAL,
    expect(200, log="answered"),
    ack(body=sdp()),
    pause(),
    *BYE_FROM_CALLER,
)
DEAF_CALLER = scenario(
    "caller never acknowledges the answer",
    invite(),
    PROVISIONAL,
    expect(200, log="answered"),
    receive("BYE", timeout_ms=40_000),
    reply_in_dialog("200 OK", log="ended"),
)
INFO_CALLER = scenario(
    "caller sends a digit by INFO",
    *ANSWERED,
    pause(200),
    in_dialog("INFO", 2, body="Signal=5\nDuration=160\n", content_type="application/dtmf-relay"),
    expect(200),
    in_dialog("BYE", 3),
    expect(200, log="ended"),
)
INFO_VENDOR = scenario(
    "vendor takes a digit by INFO",
    receive("INVITE"),
    RINGING,
    ANSWER,
    receive("ACK", log="acked"),
    '<recv request="INFO"><action><ereg regexp="Signal=5" search_in="body" check_it="true"'
    ' assign_to="digit"/><log message="[call_id] info [$digit]"/></action></recv>',
    reply_in_dialog("200 OK"),
    *HUNG_UP_ON,
)
NO_ANSWER_VENDOR = scenario(
    "vendor rings until it is cancelled",
    receive("INVITE"),
    RINGING,
    receive("CANCEL", timeout_ms=30_000),
    reply_in_dialog("200 OK"),
    reply_terminated(),
    receive("ACK"),
)

LATE_OFFERED_VENDOR = scenario(
    "vendor is asked for the offer, and answered in the ACK",
    receive("INVITE"),
    RINGING,
    ANSWER,
    '<recv request="ACK"><action><ereg regexp="m=audio [1-9][0-9]+" search_in="body"'
    ' check_it="true" assign_to="answer"/><log message="[call_id] acked [$answer]"/></action>'
    "</recv>",
    *HUNG_UP_ON,
)
