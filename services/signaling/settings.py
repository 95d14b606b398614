"""Settings of signaling, from ``TANDEM_*``."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.common.settings import ServiceSettings


class SignalingSettings(ServiceSettings):
    """What signaling is told by its environment."""

    sip: str = "127.0.0.1:5060"
    """Addresses to listen at, separated by commas: ``[name@][transport:]host:port[=advertised]``.
    Trunks choose one by its name or address. The transport is ``udp``, ``tcp``, ``tls``, ``ws`` or
    ``wss``; without one it is UDP and TCP."""
    sip_advertised: str = ""
    """``host[:port]`` that peers shall write to, of addresses that say nothing else."""
    sip_dscp: Annotated[int, Field(ge=0, le=63)] = 40
    """Class of service in the packets of SIP: CS5, as RFC 4594 says for signaling; 0 = none."""
    tls_certificate: str = ""
    """PEM file: our certificate, then those between it and its authority."""
    tls_key: str = ""
    """PEM file; empty when the key is in the file of the certificate."""
    tls_authorities: str = ""
    """PEM file of the authorities we trust; empty for those of the system."""
    tls_verify_clients: Literal["none", "optional", "required"] = "none"
    """Whether who connects to us has to show a certificate."""
    tcp_close_reset: bool = False
    """Whether connections are closed by RST, so that none lingers in TIME_WAIT."""
    most_connections: Annotated[int, Field(ge=16, le=1_000_000)] = 10_000
    """Streams open at once, of all transports; beyond, strangers' make room."""
    routing_address: str = "127.0.0.1:5002"
    rating_address: str = "127.0.0.1:5003"
    media_address: str = "127.0.0.1:5004"
    most_calls: Annotated[int, Field(ge=1)] = 50_000
    """Live calls beyond which new ones get 503."""
    most_cps: Annotated[int, Field(ge=0)] = 0
    """New calls per second beyond which further ones get 503; 0 = as many as can be handled."""
    user_agent: Annotated[str, Field(pattern=r"^[\x20-\x7e]*$", max_length=100)] = ""
    """What ``User-Agent`` says in our requests; empty for no such header: it tells attackers."""
    nftables: Literal["off", "auto", "on"] = "off"
    """Whether bans and limits are also kept in the kernel's firewall: ``auto`` where it can be,
    ``on`` must."""
    ladder_calls: Annotated[int, Field(ge=0)] = 1_000
    """Recent calls whose messages are kept; 0 keeps none."""
    hep_address: str = ""
    """``host:port`` of a capture server that takes HEP version 3 over UDP; empty for none."""
    hep_agent: Annotated[int, Field(ge=0, le=2**32 - 1)] = 2001
    """What the capture server knows this process as."""
    dns_servers: str = ""
    """``host[:port]`` of name servers, separated by commas; empty for those of the system."""
    silence_timeout_ms: Annotated[int, Field(ge=0)] = 60_000
    """A call without RTP from either side for so long is hung up; 0 = never."""

    @model_validator(mode="after")
    def _has_certificate(self) -> Self:
        if not self.tls_certificate and re.search(r"(^|,|@)\s*(tls|wss):", self.sip):
            raise ValueError("tls and wss in TANDEM_SIP need TANDEM_TLS_CERTIFICATE")
        return self
