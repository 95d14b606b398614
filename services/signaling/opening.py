"""What the settings say about this machine, its name servers and certificates, opened."""

from __future__ import annotations

import socket

from services.common.settings import InvalidSettings
from services.signaling.adapters.names import Lookups
from services.signaling.adapters.tls import TlsContexts, TlsFiles
from services.signaling.core.reach import literal_address
from services.signaling.core.trunks import split_address as trunk_address
from services.signaling.settings import SignalingSettings


def outgoing_address(is_v6: bool) -> str:
    """The address this machine would send from; nothing is sent to find out."""
    family = socket.AF_INET6 if is_v6 else socket.AF_INET
    beyond = "2001:db8::1" if is_v6 else "192.0.2.1"
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((beyond, 9))
        except OSError:
            return "::1" if is_v6 else "127.0.0.1"
        return str(probe.getsockname()[0])


def dns_servers(text: str) -> list[tuple[str, int]]:
    """``TANDEM_DNS_SERVERS``, read.

    Raises:
        ValueError: one of them is no ``address[:port]``.
    """
    servers: list[tuple[str, int]] = []
    for part in text.split(","):
        if part.strip():
            host, port = trunk_address(part)
            if not literal_address(host):
                raise ValueError(f"TANDEM_DNS_SERVERS: {host} is no address")
            servers.append((host, port or 53))
    return servers


def open_dns(servers: list[tuple[str, int]]) -> Lookups:
    """Loaded by the first name there is: most switches know their vendors by address."""
    from services.signaling.adapters.dns import DnsLookups

    return DnsLookups(servers)


def tls_contexts(settings: SignalingSettings) -> TlsContexts:
    """The certificates of the settings, loaded.

    Raises:
        InvalidSettings: they are not there, or do not fit together.
    """
    files = TlsFiles(
        certificate=settings.tls_certificate,
        key=settings.tls_key,
        authorities=settings.tls_authorities,
        verify_clients=settings.tls_verify_clients,
    )
    try:
        return TlsContexts(files)
    except OSError as error:  # that of the ssl module included
        named = {
            "TANDEM_TLS_CERTIFICATE": files.certificate,
            "TANDEM_TLS_KEY": files.key,
            "TANDEM_TLS_AUTHORITIES": files.authorities,
        }
        told = ", ".join(f"{name} is {path!r}" for name, path in named.items() if path)
        raise InvalidSettings([f"{told}: no PEM files that fit together ({error})"]) from None
