"""What a switch on one machine is started with, and what its services are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.layout import Layout

SERVICES = ("signaling", "media", "routing", "rating", "api")
SERVERS = ("nats", "postgres", "clickhouse")


@dataclass(frozen=True, slots=True)
class Options:
    """How a switch is started. Two switches side by side differ in ``data`` and addresses."""

    data: Path
    sip: tuple[str, ...] = ("127.0.0.1:5060",)
    """``[transport:]host:port[=advertised]``: UDP and TCP where no transport is named."""
    rtp: str = "127.0.0.1:12000-15000"
    http: str = "127.0.0.1:8080"
    admin_key: str | None = field(default=None, repr=False)
    """``None``: the one made for this data folder."""
    nats_url: str | None = field(default=None, repr=False)
    """A server of the operator's own, instead of ours. So are the next two."""
    postgres_dsn: str | None = field(default=None, repr=False)
    clickhouse_dsn: str | None = field(default=None, repr=False)
    node: str = "1"
    """Part of every service's node name, ``signaling-1``."""
    fsync: bool = True
    """Whether what is acknowledged survives a power cut; off only where data is thrown away."""
    postgres_user: str | None = None
    """System user for Postgres when started by root; ``None``: nobody."""
    services: tuple[str, ...] = SERVICES
    """Those to start; none: the servers alone."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further settings for every service, over what this machine's environment says."""
    start_timeout_s: float = 60.0
    """Limit for each stage of the start: servers, migrations, services."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything of a running switch is found. Credentials are in it."""

    nats_url: str = field(repr=False)
    postgres_dsn: str = field(repr=False)
    clickhouse_dsn: str = field(repr=False)
    admin_key: str = field(repr=False)
    sip: tuple[str, ...]
    rtp: str
    http: str
    ops: Mapping[str, int]
    """Loopback port of each service's operations endpoint."""
    grpc: Mapping[str, str]
    """Address of each service for the others, ``unix:/path``."""

    @property
    def stores(self) -> dict[str, str]:
        """The bus and the databases, as settings."""
        return {
            "TANDEM_NATS_URL": self.nats_url,
            "TANDEM_POSTGRES_DSN": self.postgres_dsn,
            "TANDEM_CLICKHOUSE_DSN": self.clickhouse_dsn,
        }


def service_environment(
    name: str, options: Options, addresses: Addresses, layout: Layout
) -> dict[str, str]:
    """The settings of one service."""
    common = {
        **options.environment,
        **addresses.stores,
        "TANDEM_NODE": f"{name}-{options.node}",
        "TANDEM_DATA_DIR": str(layout.spool_of(name)),
        "TANDEM_OPS_ADDRESS": f"127.0.0.1:{addresses.ops[name]}",
        "TANDEM_GRPC_ADDRESS": addresses.grpc[name],
    }
    return common | _OWN.get(name, _nothing)(addresses)


def _peers(addresses: Addresses, *names: str) -> dict[str, str]:
    return {f"TANDEM_{name.upper()}_ADDRESS": addresses.grpc[name] for name in names}


def _nothing(_: Addresses) -> dict[str, str]:
    return {}


def _signaling(addresses: Addresses) -> dict[str, str]:
    return {
        "TANDEM_SIP": ",".join(addresses.sip),
        **_peers(addresses, "routing", "rating", "media"),
    }


def _media(addresses: Addresses) -> dict[str, str]:
    return {"TANDEM_RTP": addresses.rtp}


def _api(addresses: Addresses) -> dict[str, str]:
    return {
        "TANDEM_HTTP": addresses.http,
        "TANDEM_ADMIN_KEY": addresses.admin_key,
        **_peers(addresses, "signaling", "routing", "rating", "media"),
    }


_OWN = {"signaling": _signaling, "media": _media, "api": _api}
