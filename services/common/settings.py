"""What every service is told by its environment: ``TANDEM_*`` variables, read once, frozen."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_PREFIX = "TANDEM_"

NodeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,63}$")]
"""Goes into message ids, durable names and labels: no dots, no spaces, no slashes."""


class ServiceSettings(BaseModel):
    """Common to the five services; each subclasses it with its own fields.

    Fields without a meaning for a service are simply not read by it. Every field is one plain
    value, so the environment is read here: the package made for that also reads files, command
    lines and the secret stores of clouds, which takes each process 25 ms to import.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True)

    def __init__(self, **given: object) -> None:
        """Fields ``given`` here win over the environment."""
        super().__init__(**(_told(type(self)) | given))

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
    config_wait_s: Annotated[float, Field(ge=0)] = 1.0
    """How long a start waits for Postgres before it goes by what is known without it."""
    log_level: str = "INFO"
    otlp_endpoint: str = ""
    """Base URL of an OTLP/HTTP collector; empty sends no traces."""
    trace_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the calls that succeeded which are traced; failed ones always are."""
    drain_timeout_s: Annotated[float, Field(gt=0)] = 3600.0
    """After this long a drain is given up and the service closes."""


def _told(settings: type[BaseModel]) -> dict[str, object]:
    """What the environment says of each field, as text; validation makes the values of it."""
    variables = {name: _PREFIX + name.upper() for name in settings.model_fields}
    return {name: os.environ[told] for name, told in variables.items() if told in os.environ}
