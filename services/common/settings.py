"""What every service is told by its environment: ``TANDEM_*`` variables, read once, frozen."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from services.common.addresses import each_of, host_port, or_empty, service_address, url
from services.common.errors import SwitchError
from services.common.wanted import wanted

_PREFIX = "TANDEM_"
_LONGEST_SHOWN = 200
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

NodeName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
        description="1 to 63 letters, digits, - and _",
    ),
]
"""Goes into message ids, durable names and labels: no dots, no spaces, no slashes."""
HostPort = Annotated[str, AfterValidator(host_port)]
ServiceAddress = Annotated[str, AfterValidator(service_address)]
"""Of another service."""


class Wrong(NamedTuple):
    """One setting that is not acceptable."""

    name: str
    """Of the field."""
    reason: str
    others: tuple[str, ...] = ()
    """Fields it was held against."""


class InvalidSettings(SwitchError):
    """The environment says what cannot be; every line names one variable."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("; ".join(self.lines))


def _level(text: str) -> str:
    if text.upper() not in _LEVELS:
        raise ValueError(f"must be one of {', '.join(_LEVELS)}")
    return text


class ServiceSettings(BaseModel):
    """Common to the five services; each subclasses it with its own fields.

    Fields without a meaning for a service are simply not read by it. Every field is one plain
    value, so the environment is read here: the package made for that also reads files, command
    lines and the secret stores of clouds, which takes each process 25 ms to import.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True)

    def __init__(self, **given: object) -> None:
        """Fields ``given`` here win over the environment.

        Raises:
            InvalidSettings: with everything that is wrong.
        """
        told = _told(type(self)) | given
        wrong: list[Wrong] = []
        try:
            super().__init__(**told)
        except ValidationError as error:
            wrong = [self._wrong(one["loc"], one) for one in error.errors()]
            bad = {one.name for one in wrong}
            # Those that are good by themselves are still held against each other.
            super().__init__(**{name: value for name, value in told.items() if name not in bad})
        bad = {one.name for one in wrong}
        wrong += [one for one in self.contradictions() if bad.isdisjoint({one.name, *one.others})]
        if wrong:
            raise InvalidSettings(self._line(one, told) for one in wrong) from None

    def contradictions(self) -> Iterable[Wrong]:
        """Fields that do not go together, each good by itself."""
        return ()

    @classmethod
    def _wrong(cls, loc: tuple[int | str, ...], error: Mapping[str, Any]) -> Wrong:
        name = str(loc[0])
        if error["type"] == "value_error":
            return Wrong(name, str(error["ctx"]["error"]))
        return Wrong(name, f"must be {wanted(cls.model_fields[name])}")

    @classmethod
    def _line(cls, wrong: Wrong, told: Mapping[str, object]) -> str:
        variable, value = _PREFIX + wrong.name.upper(), told.get(wrong.name)
        if not cls.model_fields[wrong.name].repr:
            return f"{variable} {wrong.reason}"  # it may hold a password
        shown = "is not set" if value is None else f"is {ascii(str(value))[:_LONGEST_SHOWN]}"
        return f"{variable} {shown}: {wrong.reason}"

    node: NodeName = "local"
    """Unique among the processes of one installation, and stable over restarts."""
    data_dir: Path = Path("data")
    """Folder of this process alone: its spool, its snapshots."""
    ops_address: HostPort = "127.0.0.1:9100"
    """Where liveness, readiness, metrics and drain are served over HTTP."""
    grpc_address: ServiceAddress = "127.0.0.1:5001"
    """Where this service listens for others: ``host:port`` or ``unix:/path``."""
    nats_url: Annotated[str, AfterValidator(each_of(url("nats", "tls", "ws", "wss")))] = Field(
        default="nats://127.0.0.1:4222", repr=False
    )
    postgres_dsn: Annotated[str, AfterValidator(url("postgresql", "postgres"))] = Field(
        default="postgresql://tandem@127.0.0.1:5432/tandem", repr=False
    )
    clickhouse_dsn: Annotated[str, AfterValidator(url("clickhouse", "clickhouses"))] = Field(
        default="clickhouse://tandem@127.0.0.1:9000/tandem", repr=False
    )
    stream_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Copies of every JetStream stream: 1 embedded, 3 in a cluster."""
    config_wait_s: Annotated[float, Field(ge=0)] = 1.0
    """How long a start waits for Postgres before it goes by what is known without it."""
    log_level: Annotated[str, AfterValidator(_level)] = "INFO"
    otlp_endpoint: Annotated[str, AfterValidator(or_empty(url("http", "https")))] = ""
    """Base URL of an OTLP/HTTP collector; empty sends no traces."""
    trace_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of the calls that succeeded which are traced; failed ones always are."""
    drain_timeout_s: Annotated[float, Field(gt=0)] = 3600.0
    """After this long a drain is given up and the service closes."""


def _told(settings: type[BaseModel]) -> dict[str, object]:
    """What the environment says of each field, as text; validation makes the values of it."""
    variables = {name: _PREFIX + name.upper() for name in settings.model_fields}
    return {name: os.environ[told] for name, told in variables.items() if told in os.environ}
