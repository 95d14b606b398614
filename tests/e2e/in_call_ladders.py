"""Scenarios of PRACK, session timers, UPDATE and transfer."""

from tests.support.scenarios import (
    ack,
    expect,
    in_dialog,
    invite,
    pause,
    receive,
    receive_ack,
    reply,
    reply_in_dialog,
    request_from_callee,
    scenario,
    sdp,
)


def with_headers(step: str, *lines: str) -> str:
    """A sending step with more header lines."""
    return step.replace("\nContact:", "".join(f"\n{line}" for line in lines) + "\nContact:", 1)


def keep(step: str, **headers: str) -> str:
    """A receiving step that keeps header values in variables."""
    actions = "".join(
        f'<ereg regexp=".*" search_in="hdr" header="{header}:" check_it="true"'
        f' assign_to="{name}"/>'
        for name, header in headers.items()
    )
    return step.replace("</recv>", f"<action>{actions}</action></recv>")


def reply_kept(start: str, body: str) -> str:
    """A response to the INVITE although another request has come since."""
    text = "\n".join(
        [
            f"SIP/2.0 {start}",
            "Via:[$via]",
            "From:[$from]",
            "To:[$to];tag=[pid]b[call_number]",
            "Call-ID: [call_id]",
            "CSeq: 1 INVITE",
            "Contact: <sip:vendor@[local_ip]:[local_port];transport=[transport]>",
            "Content-Type: application/sdp",
            "Content-Length: [len]",
            "",
            body,
        ]
    )
    return f'<send retrans="500"><![CDATA[\n{text}\n]]></send>'


KEPT_INVITE = keep(receive("INVITE"), **{"via": "Via", "from": "From", "to": "To"})
RINGING = reply("180 Ringing")
ANSWER = reply("200 OK", body=sdp(), retransmit=True)
HUNG_UP_ON = (receive("BYE"), reply_in_dialog("200 OK", log="ended"))
RELIABLE_RINGING = with_headers(
    reply("183 Session Progress", body=sdp()), "Require: 100rel", "RSeq: 4711"
)
PROVISIONAL = expect(100, optional=True) + expect(180, optional=True)
ANSWERED = (invite(), PROVISIONAL, expect(200, log="answered"), ack())

# --- PRACK -------------------------------------------------------------------------------

PRACK_VENDOR = scenario(
    "vendor rings reliably",
    KEPT_INVITE,
    RELIABLE_RINGING,
    keep(receive("PRACK"), rack="RAck"),
    '<nop><action><log message="[call_id] prack [$rack]"/></action></nop>',
    reply_in_dialog("200 OK"),
    reply_kept("200 OK", sdp()),
    receive("ACK"),
    *HUNG_UP_ON,
)
PRACK_CALLER = scenario(
    "caller acknowledges ringing",
    with_headers(invite(), "Require: 100rel"),
    expect(100, optional=True),
    '<recv response="183" rrs="true"><action><ereg regexp="[0-9]+" search_in="hdr"'
    ' header="RSeq:" check_it="true" assign_to="rseq"/></action></recv>',
    with_headers(in_dialog("PRACK", 2), "RAck: [$rseq] 1 INVITE"),
    expect(200),
    expect(200, log="answered"),
    ack(),
    pause(),
    in_dialog("BYE", 3),
    expect(200, log="ended"),
)
NO_PRACK_CALLER = scenario(
    "caller never acknowledges ringing",
    with_headers(invite(), "Supported: 100rel"),
    expect(100, optional=True),
    expect(183),
    *[expect(183, optional=True) for _ in range(7)],
    expect(504, timeout_ms=45_000),
    ack().replace("ACK [next_url]", "ACK sip:[service]@[remote_ip]:[remote_port]"),
)
NEVER_PRACKED_VENDOR = scenario(
    "vendor rings and is cancelled",
    KEPT_INVITE,
    reply("183 Session Progress", body=sdp()),
    receive("CANCEL", timeout_ms=45_000),
    reply_in_dialog("200 OK"),
    reply_kept("487 Request Terminated", "").replace("Content-Type: application/sdp\n", ""),
    receive("ACK"),
)

# --- offers before the answer ------------------------------------------------------------

WITHOUT_SDP = ("Content-Type: application/sdp\n", "")
TAKES_UPDATE = "Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE"
RELIABLE_183 = (
    '<recv response="183" rrs="true"><action><ereg regexp="[0-9]+" search_in="hdr"'
    ' header="RSeq:" check_it="true" assign_to="rseq"/></action></recv>'
)


def with_session(step: str, name: str) -> str:
    """A receiving step that insists on SDP with a port and logs it."""
    check = (
        f'<ereg regexp="m=audio [1-9][0-9]+" search_in="body" check_it="true" assign_to="{name}"/>'
        f'<log message="[call_id] {name} [${name}]"/>'
    )
    if "</action>" in step:
        return step.replace("</action>", check + "</action>")
    return step.replace("</recv>", f"<action>{check}</action></recv>")


EARLY_OFFER_VENDOR = scenario(
    "vendor offers in reliable ringing",
    keep(KEPT_INVITE, supported="Supported").replace("</action><action>", ""),
    '<nop><action><log message="[call_id] supported [$supported]"/></action></nop>',
    RELIABLE_RINGING,
    with_session(receive("PRACK"), "answer"),
    reply_in_dialog("200 OK"),
    reply_kept("200 OK", "").replace(*WITHOUT_SDP),
    receive("ACK"),
    *HUNG_UP_ON,
)
EARLY_ANSWER_CALLER = scenario(
    "caller without offer answers in PRACK",
    with_headers(invite(body=""), "Supported: 100rel"),
    expect(100, optional=True),
    with_session(RELIABLE_183, "offer"),
    with_headers(in_dialog("PRACK", 2, body=sdp()), "RAck: [$rseq] 1 INVITE"),
    expect(200),
    expect(200, log="answered"),
    ack(),
    pause(),
    in_dialog("BYE", 3),
    expect(200, log="ended"),
)
EARLY_UPDATE_VENDOR = scenario(
    "vendor is updated and updates before he answers",
    KEPT_INVITE,
    with_headers(RELIABLE_RINGING, TAKES_UPDATE),
    receive("PRACK"),
    reply_in_dialog("200 OK"),
    keep(with_session(receive("UPDATE"), "offer"), remote="From", local="To").replace(
        "</action><action>", ""
    ),
    reply_in_dialog("200 OK", body=sdp(version=2)),
    pause(200),  # his 200 is on its way to the caller: until then it would be glare
    request_from_callee("UPDATE", 1, body=sdp(version=3)),
    with_session(expect(200), "answer"),
    reply_kept("200 OK", "").replace(*WITHOUT_SDP),
    receive("ACK"),
    *HUNG_UP_ON,
)
EARLY_UPDATE_CALLER = scenario(
    "caller updates and is updated before he is answered",
    with_headers(invite(), "Supported: 100rel", TAKES_UPDATE),
    expect(100, optional=True),
    RELIABLE_183,
    with_headers(in_dialog("PRACK", 2), "RAck: [$rseq] 1 INVITE"),
    expect(200),
    in_dialog("UPDATE", 3, body=sdp(version=2, port="40002")),
    with_session(expect(200), "answer"),
    with_session(receive("UPDATE"), "offer"),
    reply_in_dialog("200 OK", body=sdp(version=3, port="40002")),
    expect(200, log="answered"),
    ack(),
    pause(),
    in_dialog("BYE", 4),
    expect(200, log="ended"),
)

# --- session timers ----------------------------------------------------------------------

NEGLECTFUL_CALLER = scenario(
    "caller promises refreshes and sends none",
    with_headers(
        invite(), "Supported: timer", "Session-Expires: 90;refresher=uac",
        "Allow: INVITE, ACK, BYE, UPDATE",
    ),
    PROVISIONAL,
    expect(200, log="answered"),
    ack(),
    receive("BYE", timeout_ms=80_000),
    reply_in_dialog("200 OK", log="ended"),
)  # fmt: skip
REFRESHED_VENDOR = scenario(
    "vendor is refreshed by UPDATE",
    receive("INVITE"),
    RINGING,
    with_headers(
        ANSWER, "Require: timer", "Session-Expires: 90;refresher=uac",
        "Allow: INVITE, ACK, BYE, UPDATE",
    ),
    receive("ACK", log="acked"),
    '<recv request="UPDATE" timeout="60000"><action><ereg regexp="90;refresher=uac"'
    ' search_in="hdr" header="Session-Expires:" check_it="true" assign_to="expires"/>'
    '<log message="[call_id] refreshed [clock_tick]"/>'
    '<log message="[call_id] agreed [$expires]"/></action></recv>',
    with_headers(
        reply_in_dialog("200 OK"), "Require: timer", "Session-Expires: 90;refresher=uac"
    ),
    *HUNG_UP_ON,
)  # fmt: skip
REFRESHING_CALLER = scenario(
    "caller refreshes by UPDATE",
    with_headers(invite(), "Supported: timer", "Session-Expires: 300;refresher=uac"),
    PROVISIONAL,
    '<recv response="200" rrs="true"><action><ereg regexp="300;refresher=uac" search_in="hdr"'
    ' header="Session-Expires:" check_it="true" assign_to="first"/>'
    '<log message="[call_id] agreed [$first]"/></action></recv>',
    ack(),
    pause(300),
    with_headers(in_dialog("UPDATE", 2), "Supported: timer", "Session-Expires: 300;refresher=uac"),
    '<recv response="200"><action><ereg regexp="300;refresher=uac" search_in="hdr"'
    ' header="Session-Expires:" check_it="true" assign_to="again"/>'
    '<log message="[call_id] agreed [$again]"/></action></recv>',
    pause(300),
    in_dialog("BYE", 3),
    expect(200, log="ended"),
)
IMPATIENT_CALLER = scenario(
    "caller asks for more refreshes than the trunk bears",
    with_headers(invite(), "Supported: timer", "Session-Expires: 90"),
    expect(100, optional=True),
    '<recv response="422"><action><ereg regexp="120" search_in="hdr" header="Min-SE:"'
    ' check_it="true" assign_to="least"/><log message="[call_id] least [$least]"/></action>'
    "</recv>",
    ack().replace("ACK [next_url]", "ACK sip:[service]@[remote_ip]:[remote_port]"),
)
PLAIN_VENDOR = scenario(
    "vendor answers",
    receive("INVITE"),
    RINGING,
    ANSWER,
    receive("ACK", log="acked"),
    *HUNG_UP_ON,
)

# --- UPDATE ------------------------------------------------------------------------------

UPDATING_CALLER = scenario(
    "caller moves its media by UPDATE",
    *ANSWERED,
    pause(200),
    in_dialog("UPDATE", 2, body=sdp(version=2, port="40002")),
    '<recv response="200"><action><ereg regexp="m=audio [1-9][0-9]+" search_in="body"'
    ' check_it="true" assign_to="answer"/><log message="[call_id] updated [$answer]"/></action>'
    "</recv>",
    pause(200),
    in_dialog("BYE", 3),
    expect(200, log="ended"),
)
UPDATED_VENDOR = scenario(
    "vendor accepts UPDATE",
    receive("INVITE"),
    RINGING,
    ANSWER,
    receive("ACK", log="acked"),
    receive("UPDATE"),
    reply_in_dialog("200 OK", body=sdp(version=2)),
    *HUNG_UP_ON,
)

# --- transfer ----------------------------------------------------------------------------


def transferring_caller(number: str, *statuses: int) -> str:
    """Transfers its call to ``number``; the NOTIFYs say ``statuses``."""
    notified = "".join(
        f'<recv request="NOTIFY"><action><ereg regexp="SIP/2.0 {status}" search_in="body"'
        f' check_it="true" assign_to="s{status}"/>'
        f'<log message="[call_id] notified [$s{status}]"/></action></recv>'
        + reply_in_dialog("200 OK")
        for status in statuses
    )
    return scenario(
        "caller transfers",
        *ANSWERED,
        pause(200),
        with_headers(in_dialog("REFER", 2), f"Refer-To: &lt;sip:{number}@example.com&gt;")
        .replace("&lt;", "<")
        .replace("&gt;", ">"),
        expect(202),
        notified,
        *(HUNG_UP_ON if statuses[-1] < 300 else (in_dialog("BYE", 3), expect(200, log="ended"))),
    )


TRANSFERRED_VENDOR = scenario(
    "vendor is transferred and hung up on",
    receive("INVITE"),
    RINGING,
    ANSWER,
    receive("ACK", log="acked"),
    receive("INVITE"),
    reply_in_dialog("200 OK", body=sdp(version=2)),
    receive("ACK"),
    *HUNG_UP_ON,
)
TARGET_VENDOR = scenario(
    "target answers with the offer and hangs up",
    receive("INVITE"),
    RINGING,
    ANSWER,
    receive_ack(),
    pause(1500),
    request_from_callee("BYE", 1),
    expect(200, log="ended"),
)
REFER_REFUSED_CALLER = scenario(
    "caller may not transfer",
    *ANSWERED,
    with_headers(in_dialog("REFER", 2), "Refer-To: <sip:1@example.com>"),
    expect(405),
    in_dialog("BYE", 3),
    expect(200, log="ended"),
)
