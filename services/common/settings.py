"""What every service is told by its environment: ``TANDEM_*`` variables, read once, frozen."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

NodeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,63}$")]
"""Goes into message ids, durable names and labels: no dots, no spaces, no slashes."""


class ServiceSettings(BaseSettings):
    """Common to the five services; each subclasses it with its own fields.

    Fields without a meaning for a service are simply not read by it.
    """

    model_config = SettingsConfigDict(env_prefix="TANDEM_", frozen=True, extra="ignore")

    node: NodeName = "local"
    """Unique among the processes of one installation, and stable over restarts."""
    data_dir: Path = Path("data")
    """Folder of this process alone: its spool, its snapshots."""
    ops_address: str = "127.0.0.1:9100"
    """Where liveness, readiness, metrics and drain are served over HTTP."""
    grpc_address: str = "127.0.0.1:5001"
    """Where this service listens for others: ``host:port`` or ``unix:/path``."""
    nats_url: str = Field(default="nats://127.0.0.1:4222", repr=False)
    postgres_dsn: str = Field(default="postgresql://tandem@127.0.0.1:5432/tandem", repr=False)
    clickhouse_dsn: str = Field(default="clickhouse://tandem@127.0.0.1:9000/tandem", repr=False)
    stream_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Copies of every JetStream stream: 1 embedded, 3 in a cluster."""
    log_level: str = "INFO"
    otlp_endpoint: str = ""
    """Base URL of an OTLP/HTTP collector; empty sends no traces."""
    trace_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the calls that succeeded which are traced; failed ones always are."""
    drain_timeout_s: Annotated[float, Field(gt=0)] = 3600.0
    """After this long a drain is given up and the service closes."""
