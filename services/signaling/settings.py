"""Settings of signaling, from ``TANDEM_*``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from services.common.addresses import each_of, host_port, name_server, or_empty
from services.common.settings import ServiceAddress, ServiceSettings, Wrong
from services.signaling.sip.listeners import (
    MOST_LISTENERS,
    SECURE,
    Listener,
    read_advertised,
    read_listeners,
)


def _listeners(text: str, advertised: str = "") -> tuple[Listener, ...]:
    return read_listeners(text, advertised, lambda is_v6: "::1" if is_v6 else "127.0.0.1")


def _sip(text: str) -> str:
    if len(_listeners(text)) > MOST_LISTENERS:
        raise ValueError(f"must have at most {MOST_LISTENERS} addresses; UDP and TCP count as two")
    return text


def _readable(text: str) -> str:
    if text and not (os.path.isfile(text) and os.access(text, os.R_OK)):
        raise ValueError("must be a file that can be read")
    return text


File = Annotated[str, AfterValidator(_readable)]


class SignalingSettings(ServiceSettings):
    """What signaling is told by its environment."""

    sip: Annotated[str, AfterValidator(_sip)] = "127.0.0.1:5060"
    """Addresses to listen at, separated by commas: ``[name@][transport:]host:port[=advertised]``.
    Trunks choose one by its name or address. The transport is ``udp``, ``tcp``, ``tls``, ``ws`` or
    ``wss``; without one it is UDP and TCP."""
    sip_advertised: Annotated[str, AfterValidator(or_empty(read_advertised))] = ""
    """``host[:port]`` that peers shall write to, of addresses that say nothing else."""
    sip_dscp: Annotated[int, Field(ge=0, le=63)] = 40
    """Class of service in the packets of SIP: CS5, as RFC 4594 says for signaling; 0 = none."""
    tls_certificate: File = ""
    """PEM file: our certificate, then those between it and its authority."""
    tls_key: File = ""
    """PEM file; empty when the key is in the file of the certificate."""
    tls_authorities: File = ""
    """PEM file of the authorities we trust; empty for those of the system."""
    tls_verify_clients: Literal["none", "optional", "required"] = "none"
    """Whether who connects to us has to show a certificate."""
    tcp_close_reset: bool = False
    """Whether connections are closed by RST, so that none lingers in TIME_WAIT."""
    most_connections: Annotated[int, Field(ge=16, le=1_000_000)] = 10_000
    """Streams open at once, of all transports; beyond, strangers' make room."""
    routing_address: ServiceAddress = "127.0.0.1:5002"
    rating_address: ServiceAddress = "127.0.0.1:5003"
    media_address: ServiceAddress = "127.0.0.1:5004"
    most_calls: Annotated[int, Field(ge=1)] = 50_000
    """Live calls beyond which new ones get 503."""
    most_cps: Annotated[int, Field(ge=0)] = 0
    """New calls per second beyond which further ones get 503; 0 = as many as can be handled."""
    user_agent: Annotated[
        str,
        Field(
            pattern=r"^[\x20-\x7e]*$",
            max_length=100,
            description="up to 100 printable ASCII characters",
        ),
    ] = ""
    """What ``User-Agent`` says in our requests; empty for no such header: it tells attackers."""
    nftables: Literal["off", "auto", "on"] = "off"
    """Whether bans and limits are also kept in the kernel's firewall: ``auto`` where it can be,
    ``on`` must."""
    ladder_calls: Annotated[int, Field(ge=0)] = 1_000
    """Recent calls whose messages are kept; 0 keeps none."""
    hep_address: Annotated[str, AfterValidator(or_empty(host_port))] = ""
    """``host:port`` of a capture server that takes HEP version 3 over UDP; empty for none."""
    hep_agent: Annotated[int, Field(ge=0, le=2**32 - 1)] = 2001
    """What the capture server knows this process as."""
    dns_servers: Annotated[str, AfterValidator(each_of(name_server))] = ""
    """``host[:port]`` of name servers, separated by commas; empty for those of the system."""
    silence_timeout_ms: Annotated[int, Field(ge=0)] = 60_000
    """A call without RTP from either side for so long is hung up; 0 = never."""
    reinvite_timeout_ms: Annotated[int, Field(ge=1_000)] = 180_000
    """A re-INVITE of ours that draws no response above 100 for so long is cancelled."""

    def contradictions(self) -> Iterator[Wrong]:
        """See :class:`ServiceSettings`."""
        transports = {listener.transport for listener in _listeners(self.sip)}
        if (transports & SECURE) and not self.tls_certificate:
            reason = "must be given for the tls and wss in TANDEM_SIP"
            yield Wrong("tls_certificate", reason, ("sip",))
        if self.tls_key and not self.tls_certificate:
            yield Wrong(
                "tls_key", "means nothing without TANDEM_TLS_CERTIFICATE", ("tls_certificate",)
            )
