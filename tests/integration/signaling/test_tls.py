"""Certificates from files, and encryption in memory."""

from __future__ import annotations

import datetime as dt
import os
import ssl
from pathlib import Path

import pytest

from services.common.settings import InvalidSettings
from services.signaling.adapters.tls import TlsContexts, TlsFailed, TlsFiles, TlsSession
from services.signaling.settings import SignalingSettings
from services.signaling.sip.actions import PLAIN, Manner
from tests.support.signaling.secure import Authority


def shake_hands(client: TlsSession, server: TlsSession) -> None:
    client.start()
    server.start()
    for _ in range(5):
        server.receive(client.output())
        client.receive(server.output())
        if client.is_open and server.is_open:
            return
    raise AssertionError("no end to the handshake")


def test_what_one_side_sends_the_other_reads(authority: Authority) -> None:
    contexts = TlsContexts(authority.files("sip.example"))
    client, server = contexts.call(Manner("sip.example"), "192.0.2.1"), contexts.serve()
    shake_hands(client, server)
    message = b"OPTIONS " * 20_000
    client.send(message)
    assert server.receive(client.output()) == message
    server.send(b"200 ")
    assert client.receive(server.output()) == b"200 "
    server.close()
    with pytest.raises(TlsFailed, match="closed"):
        client.receive(server.output())


def test_handshake_byte_by_byte(authority: Authority) -> None:
    contexts = TlsContexts(authority.files("sip.example"))
    client, server = contexts.call(Manner("sip.example"), "192.0.2.1"), contexts.serve()
    client.start()
    hello = client.output()
    for at in range(len(hello)):
        assert server.receive(hello[at : at + 1]) == b""
    client.receive(server.output())
    assert client.is_open


@pytest.mark.parametrize("name", ["other.example", "", "example"])
def test_a_certificate_for_another_name_is_refused(authority: Authority, name: str) -> None:
    contexts = TlsContexts(authority.files("sip.example"))
    client, server = contexts.call(Manner(name), "192.0.2.1"), contexts.serve()
    with pytest.raises(TlsFailed, match=r"mismatch|not valid"):
        shake_hands(client, server)
    lenient = contexts.call(Manner(name, is_verified=False), "192.0.2.1")
    shake_hands(lenient, contexts.serve())


def test_an_address_may_be_what_is_certified(authority: Authority) -> None:
    contexts = TlsContexts(authority.files("192.0.2.1"))
    shake_hands(contexts.call(PLAIN, "192.0.2.1"), contexts.serve())


def test_an_authority_nobody_knows_is_refused(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = TlsContexts(Authority(tmp_path / "other").files("sip.example"))
    client = TlsContexts(authority.files("sip.example")).call(Manner("sip.example"), "")
    with pytest.raises(TlsFailed, match="certificate"):
        shake_hands(client, other.serve())


def test_a_certificate_out_of_date_is_refused(authority: Authority, tmp_path: Path) -> None:
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    old = authority.ca.issue_cert("sip.example", not_after=past)
    old.private_key_and_cert_chain_pem.write_to_path(tmp_path / "old.pem")
    server = TlsContexts(TlsFiles(certificate=str(tmp_path / "old.pem"))).serve()
    client = TlsContexts(authority.files("sip.example")).call(Manner("sip.example"), "")
    with pytest.raises(TlsFailed, match="expired"):
        shake_hands(client, server)


@pytest.mark.parametrize("rule", ["none", "optional", "required"])
def test_clients_show_a_certificate_where_it_is_demanded(authority: Authority, rule: str) -> None:
    server = TlsContexts(authority.files("sip.example", verify_clients=rule))
    bare = TlsContexts(TlsFiles(authorities=str(authority.folder / "authority.pem")))
    shown = TlsContexts(authority.files("pbx.example", stem="pbx"))
    shake_hands(shown.call(Manner("sip.example"), ""), server.serve())
    client, session = bare.call(Manner("sip.example"), ""), server.serve()
    if rule != "required":
        shake_hands(client, session)
        return
    with pytest.raises(TlsFailed, match=r"(?i)certificate"):
        shake_hands(client, session)


def test_old_versions_are_refused(authority: Authority) -> None:
    contexts = TlsContexts(authority.files("sip.example"))
    modern = contexts.call(Manner("sip.example", least_version="1.3"), "")
    old = authority.server("sip.example")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(TlsFailed):
        shake_hands(modern, TlsSession(old, server_side=True))
    shake_hands(contexts.call(Manner("sip.example"), ""), TlsSession(old, server_side=True))


def test_new_certificates_are_used_without_a_restart(authority: Authority) -> None:
    contexts = TlsContexts(authority.files("old.example"))
    assert not contexts.reload()
    path = authority.issue("new.example")
    assert contexts.reload()
    assert not contexts.reload()
    shake_hands(contexts.call(Manner("new.example"), ""), contexts.serve())
    # What cannot be read leaves in force what could, until it can.
    path.write_text("half a cert")
    assert not contexts.reload()
    shake_hands(contexts.call(Manner("new.example", is_verified=True), ""), contexts.serve())
    authority.issue("newer.example")
    assert contexts.reload()
    os.unlink(path)
    assert not contexts.reload()


def test_files_that_make_no_sense_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for missing, error in (("none.pem", FileNotFoundError), ("empty.pem", ssl.SSLError)):
        with pytest.raises(error) as refused:
            TlsContexts(TlsFiles(certificate=str(tmp_path / missing)))
        assert missing == "empty.pem" or missing in str(refused.value)


def test_tls_is_not_listened_for_without_a_certificate() -> None:
    for sip in ("tls:127.0.0.1:5061", "127.0.0.1:5060, wss:127.0.0.1:443"):
        with pytest.raises(InvalidSettings, match="TANDEM_TLS_CERTIFICATE is not set: must be"):
            SignalingSettings(sip=sip)
    assert SignalingSettings(sip="ws:127.0.0.1:80").tls_certificate == ""


def test_without_a_certificate_nobody_is_served() -> None:
    with pytest.raises(TlsFailed, match="no certificate"):
        TlsContexts(TlsFiles()).serve()


def test_garbage_is_no_handshake(authority: Authority) -> None:
    server = TlsContexts(authority.files("sip.example")).serve()
    server.start()
    with pytest.raises(TlsFailed):
        server.receive(b"INVITE sip:1@h SIP/2.0\r\n\r\n" * 10)
