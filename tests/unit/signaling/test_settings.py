"""What signaling refuses to start with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.common.settings import InvalidSettings
from services.signaling.settings import SignalingSettings


def refused(**given: Any) -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as wrong:
        SignalingSettings(**given)
    return wrong.value.lines


def test_addresses_that_are_none() -> None:
    assert refused(
        sip="10.0.0.5:sip", sip_advertised="a b", hep_address="capture", dns_servers="ns.example",
        media_address="5004", sip_dscp=64, nftables="yes", user_agent="x\n",
    ) == (
        "TANDEM_SIP is '10.0.0.5:sip': '10.0.0.5:sip' is no address: host:port,"
        " an IPv6 host in brackets",
        "TANDEM_SIP_ADVERTISED is 'a b': 'a b' is no address: host:port, an IPv6 host in brackets",
        "TANDEM_SIP_DSCP is '64': must be a whole number from 0 to 63",
        "TANDEM_MEDIA_ADDRESS is '5004': must be host:port, an IPv6 host in brackets,"
        " or unix:/path",
        "TANDEM_USER_AGENT is 'x\\n': must be up to 100 printable ASCII characters",
        "TANDEM_NFTABLES is 'yes': must be one of off, auto, on",
        "TANDEM_HEP_ADDRESS is 'capture': must be host:port, an IPv6 host in brackets",
        "TANDEM_DNS_SERVERS is 'ns.example': must be an IP address, or one with :port behind",
    )  # fmt: skip


def test_listeners_have_names_and_are_not_too_many() -> None:
    settings = SignalingSettings(sip="in@10.0.0.5:5060,[::1]:5060", sip_advertised="[2001:db8::1]")
    assert settings.sip.startswith("in@")
    many = ",".join(f"10.0.0.{number}:5060" for number in range(32))
    (line,) = refused(sip=many)
    assert line.endswith("must have at most 63 addresses; UDP and TCP count as two")
    (line,) = refused(sip="1n@10.0.0.5:5060")
    assert "'1n' is no name: a letter, then letters, digits, - and _" in line


def test_tls_wants_its_files(tmp_path: Path) -> None:
    assert refused(sip="out@tls:10.0.0.5:5061", tls_key="/none.pem") == (
        "TANDEM_TLS_KEY is '/none.pem': must be a file that can be read",
        "TANDEM_TLS_CERTIFICATE is not set: must be given for the tls and wss in TANDEM_SIP",
    )
    key = tmp_path / "key.pem"
    key.touch()
    assert refused(tls_key=str(key)) == (
        f"TANDEM_TLS_KEY is '{key}': means nothing without TANDEM_TLS_CERTIFICATE",
    )


def test_name_servers() -> None:
    good = "192.0.2.1, 192.0.2.2:5353,[2001:db8::1]:53, 2001:db8::1"
    assert SignalingSettings(dns_servers=good).dns_servers == good
    for bad in ("192.0.2.1:x", "192.0.2.1:70000", "[2001:db8::1"):
        assert len(refused(dns_servers=bad)) == 1
