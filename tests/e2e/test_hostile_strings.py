"""What callers write goes through all services and both databases as text, and as nothing else.

Bug classes 24 (SQL) and 26 (logs and terminals).
"""

from __future__ import annotations

import json
import re
import socket

import pytest

from tests.e2e.stage import Stage
from tests.support.lab import CALLER_HOST

INJECTIONS = (
    "'%20OR%20'1'='1",
    "'--",
    "'/*",
    "');DROP%20TABLE%20cdr",
    "x'%7C%7C(SELECT%201)%7C%7C'",
    "%5C',%5C%5C'%00'",
    "$1%20%25s%20%25(x)s%20%7B0%7D",
    "%1B%5B2J%1B%5D0;owned%07%0D%0Aroot:",
    "%C2%9B31m%E2%80%AE",
)
"""User parts of From, as the grammar of SIP allows them."""


def invite(phone: socket.socket, stage: Stage, user: str, number: int, called: str) -> bytes:
    host, port = phone.getsockname()
    mark = f"hostile-{number}-{called}"
    lines = [
        f"INVITE sip:{called}@{stage.lab.sip[0]} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{mark}",
        f'From: "\x1b[31m\' OR 1=1 --" <sip:{user}@{host}>;tag=x',
        f"To: <sip:{called}@{stage.lab.sip[0]}>",
        f"Call-ID: '\x1b[2J;--{mark}",
        "CSeq: 1 INVITE",
        f"Contact: <sip:x@{host}:{port}>",
        "User-Agent: '; DROP TABLE account; -- \x1b]0;owned\x07",
        "Subject: $(reboot) `reboot` \x1b[2J",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def final_status(phone: socket.socket) -> int:
    while True:
        status = int(phone.recv(65_535)[8:11])
        if status >= 200:
            return status


@pytest.fixture
def phone() -> socket.socket:
    phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    phone.bind((CALLER_HOST, 0))
    phone.settimeout(20)
    return phone


@pytest.mark.parametrize("user", INJECTIONS)
def test_24_a_number_that_is_sql_is_a_record_like_any_other(
    stage: Stage, phone: socket.socket, user: str
) -> None:
    before = stage.lab.record_count()
    with phone:
        phone.sendto(invite(phone, stage, user, 1, stage.called), stage.lab.sip)
        assert final_status(phone) == 503  # nobody listens where the vendors should be
    record = stage.record()
    assert (record["end_reason"], record["sip_code_out"]) == ("vendor_unreachable", 503)
    assert stage.lab.record_count() == before + 1
    assert "--" in record["sip_call_id"]
    for text in (record["caller"], record["sip_call_id"], record["called"]):
        assert text.isprintable()
    # Asked for by the same text, the record database gives nothing away and nothing up.
    for name in ("end_reason", "account_id", "customer_trunk_id"):
        assert stage.lab.cdrs(**{name: record["caller"]}) == []
    assert stage.lab.account("customer")["name"] == "customer"


def test_26_logs_hold_lines_of_json_in_ascii_and_few_of_them(
    stage: Stage, phone: socket.socket
) -> None:
    flood = 300
    with phone:
        for number in range(flood):
            wrong = invite(phone, stage, INJECTIONS[7], number, stage.called)
            phone.sendto(wrong.replace(b"Max-Forwards: 70", b"Max-Forwards: x"), stage.lab.sip)
            assert final_status(phone) == 400
    stage.lab.wait_cdrs(flood, called=stage.called)
    log = (stage.lab.folder / "data/logs/signaling.log").read_bytes()
    assert re.search(rb"[^\x20-\x7e\n]", log) is None
    lines = [json.loads(line) for line in log.splitlines()]
    # Ten lines a second at most are about calls; the flood lasted a few seconds.
    assert 0 < sum(line["event"] == "call.ended" for line in lines) < flood // 2
