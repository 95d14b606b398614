"""SIPp scenarios, built from steps so that each reads like its ladder.

``[call_id]`` and the like are SIPp's keywords. Every scenario logs ``call-id what clock_tick``
(milliseconds) at its answer and its end, which is SIPp's own word on how long the call was.
"""

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

_INVITE_BRANCH = "[branch of the INVITE]"

SDP = """v=0
o=sipp 53655765 [version] IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 0
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
"""


def sdp(*, version: int = 1, port: str = "[media_port]", direction: str = "sendrecv") -> str:
    body = SDP.replace("[version]", str(version)).replace("[media_port]", port)
    return body + f"a={direction}\n"


def _send(text: str, attributes: str = "", actions: str = "") -> str:
    return f"<send {attributes}><![CDATA[\n{text}\n]]>{actions}</send>"


def _log(what: str) -> str:
    return f'<action><log message="{escape(f"[call_id] {what} [clock_tick]")}"/></action>'


def _message(start: str, headers: list[str], body: str = "") -> str:
    tail = ["Content-Type: application/sdp"] if body else []
    return "\n".join([start, *headers, *tail, "Content-Length: [len]", "", body])


# --- the calling side --------------------------------------------------------------------


def _request(method: str, sequence: int, *, to_tag: bool, branch: str = "[branch]") -> list[str]:
    to = "To: <sip:[service]@[remote_ip]:[remote_port]>" + ("[peer_tag_param]" if to_tag else "")
    return [
        f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}",
        "Max-Forwards: 70",
        "From: <sip:[field0]@[local_ip]:[local_port]>;tag=[pid]a[call_number]",
        to,
        "Call-ID: [call_id]",
        f"CSeq: {sequence} {method}",
        "Contact: <sip:[field0]@[local_ip]:[local_port];transport=[transport]>",
    ]


def invite(*, body: str | None = None, retransmit: bool = True) -> str:
    text = _message(
        "INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
        _request("INVITE", 1, to_tag=False),
        sdp() if body is None else body,
    )
    return _send(text, 'retrans="500"' if retransmit else "")


def expect(
    status: int, *, optional: bool = False, method: str = "", log: str = "", timeout_ms: int = 0
) -> str:
    attributes = f'response="{status}"'
    attributes += ' optional="true"' if optional else ""
    attributes += ' rrs="true"' if log == "answered" else ""
    attributes += f' timeout="{timeout_ms}"' if timeout_ms else ""
    attributes += f' response_txn="{method}"' if method else ""
    return f"<recv {attributes}>{_log(log) if log else ''}</recv>"


def ack(*, sequence: int = 1, body: str = "") -> str:
    headers = [*_request("ACK", sequence, to_tag=True), "[routes]"]
    return _send(_message("ACK [next_url] SIP/2.0", headers, body))


def ack_failure() -> str:
    headers = _request("ACK", 1, to_tag=True, branch=_INVITE_BRANCH)
    start = "ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0"
    return _send(_message(start, headers))


def cancel() -> str:
    headers = _request("CANCEL", 1, to_tag=False, branch=_INVITE_BRANCH)
    return _send(_message("CANCEL sip:[service]@[remote_ip]:[remote_port] SIP/2.0", headers))


def in_dialog(method: str, sequence: int, *, body: str = "", content_type: str = "") -> str:
    headers = [*_request(method, sequence, to_tag=True), "[routes]"]
    if content_type:
        text = "\n".join(
            [
                f"{method} [next_url] SIP/2.0",
                *headers,
                f"Content-Type: {content_type}",
                "Content-Length: [len]",
                "",
                body,
            ]
        )
    else:
        text = _message(f"{method} [next_url] SIP/2.0", headers, body)
    return _send(text, 'retrans="500"')


# --- the called side ---------------------------------------------------------------------


def receive(method: str, *, log: str = "", optional: bool = False, timeout_ms: int = 0) -> str:
    attributes = f'request="{method}"' + (' optional="true"' if optional else "")
    attributes += ' rrs="true"' if method == "INVITE" else ""
    attributes += f' timeout="{timeout_ms}"' if timeout_ms else ""
    return f"<recv {attributes}>{_log(log) if log else ''}</recv>"


def reply(
    start: str,
    *,
    body: str = "",
    retransmit: bool = False,
    contact: bool = True,
    further: Sequence[str] = (),
) -> str:
    headers = [
        "[last_Via:]",
        "[last_Record-Route:]",
        "[last_From:]",
        "[last_To:];tag=[pid]b[call_number]",
        "[last_Call-ID:]",
        "[last_CSeq:]",
    ]
    if contact:
        headers.append("Contact: <sip:vendor@[local_ip]:[local_port];transport=[transport]>")
    text = _message(f"SIP/2.0 {start}", [*headers, *further], body)
    return _send(text, 'retrans="500"' if retransmit else "")


def reply_in_dialog(start: str, *, body: str = "", log: str = "") -> str:
    headers = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
    headers.append("Contact: <sip:me@[local_ip]:[local_port];transport=[transport]>")
    text = _message(f"SIP/2.0 {start}", headers, body)
    return _send(text, actions=_log(log) if log else "")


def reply_terminated() -> str:
    """The 487 of an INVITE whose CANCEL was just received."""
    headers = [
        "[last_Via:]",
        "[last_From:]",
        "[last_To:];tag=[pid]b[call_number]",
        "[last_Call-ID:]",
        "CSeq: [cseq] INVITE",
    ]
    return _send(_message("SIP/2.0 487 Request Terminated", headers))


def request_from_callee(
    method: str, sequence: int, *, body: str = "", content_type: str = "application/sdp"
) -> str:
    """A request sent by the called side inside the dialog it was invited to."""
    headers = [
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
        "Max-Forwards: 70",
        "From:[$local]",
        "To:[$remote]",
        "Call-ID: [call_id]",
        f"CSeq: {sequence} {method}",
        "Contact: <sip:vendor@[local_ip]:[local_port];transport=[transport]>",
        "[routes]",
        *([f"Content-Type: {content_type}"] if body else []),
        "Content-Length: [len]",
    ]
    text = "\n".join([f"{method} [next_url] SIP/2.0", *headers, "", body])
    return _send(text, 'retrans="500"' if method != "ACK" else "")


def receive_ack(*, log: str = "acked") -> str:
    """Take the ACK and keep its From and To, for :func:`request_from_callee`."""
    keep = "".join(
        f'<ereg regexp=".*" search_in="hdr" header="{header}" check_it="true" assign_to="{name}"/>'
        for header, name in (("From:", "remote"), ("To:", "local"))
    )
    mark = f'<log message="[call_id] {log} [clock_tick]"/>'
    return f'<recv request="ACK"><action>{keep}{mark}</action></recv>'


def pause(ms: int | None = None) -> str:
    """Wait; without a figure, SIPp's ``-d``."""
    return "<pause/>" if ms is None else f'<pause milliseconds="{ms}"/>'


def scenario(name: str, *steps: str) -> str:
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{name}">\n'
    return head + _with_branches("\n".join(steps)) + "\n</scenario>\n"


def _with_branches(steps: str) -> str:
    """CANCEL, and the ACK of a refusal, carry the branch of their INVITE.

    SIPp knows it by the number of steps since: ``[branch-4]``.
    """
    parts = re.split(r"(?=<(?:send|recv|pause|nop)\b)", steps)
    invited_at = 0
    for index, part in enumerate(parts):
        if "\nINVITE " in part:
            invited_at = index
        parts[index] = part.replace(_INVITE_BRANCH, f"[branch-{index - invited_at}]")
    return "".join(parts)


PROVISIONAL = expect(100, optional=True) + expect(180, optional=True) + expect(183, optional=True)

CALLER = scenario(
    "caller hangs up",
    invite(),
    PROVISIONAL,
    expect(200, log="answered"),
    ack(),
    pause(),
    in_dialog("BYE", 2),
    expect(200, log="ended"),
)
VENDOR = scenario(
    "vendor answers",
    receive("INVITE", log="invited"),
    reply("180 Ringing"),
    reply("200 OK", body=sdp(), retransmit=True),
    receive("ACK", log="acked"),
    receive("BYE"),
    reply_in_dialog("200 OK", log="ended"),
)


def answered_or_refused(status: int) -> str:
    """The call goes through, or is refused with ``status``: both are a success."""
    return scenario(
        f"answered, or refused with {status}",
        invite(),
        PROVISIONAL,
        f'<recv response="{status}" optional="true" next="refused"/>',
        expect(200, log="answered"),
        ack(),
        pause(),
        in_dialog("BYE", 2),
        expect(200, log="ended"),
        '<nop next="end"/>',
        '<label id="refused"/>',
        ack_failure(),
        '<label id="end"/>',
        "<nop/>",
    )
