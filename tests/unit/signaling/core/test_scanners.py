"""Signatures are found where tools write them, and nowhere else."""

from __future__ import annotations

import pytest

from services.signaling.core.scanners import SIGNATURES, signature_in

HEAD = b"OPTIONS sip:100@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\n"


@pytest.mark.parametrize("signature", SIGNATURES)
def test_each_signature_in_any_case(signature: str) -> None:
    line = b"User-Agent: " + signature.upper().encode() + b" 1.0\r\n\r\n"
    assert signature_in(HEAD + line) == signature


@pytest.mark.parametrize(
    "line",
    [
        b'From: "sipvicious"<sip:100@1.1.1.1>;tag=1', b't:<sip:a@b>;x=sipvicious',
        b'f : "SIPVicious" <sip:100@1.1.1.1>',
    ],
)  # fmt: skip
def test_in_from_and_to(line: bytes) -> None:
    assert signature_in(HEAD + line + b"\r\n\r\n") == "sipvicious"


@pytest.mark.parametrize(
    "rest",
    [
        b"User-Agent: Kamailio\r\n\r\n",
        b"Subject: friendly-scanner\r\n\r\n",
        b"X: " + b"x" * 2048 + b"\r\nUser-Agent: friendly-scanner\r\n\r\n",
        b"\r\n\r\nfriendly-scanner",
    ],
)
def test_elsewhere_they_mean_nothing(rest: bytes) -> None:
    assert signature_in(HEAD + rest) == ""
