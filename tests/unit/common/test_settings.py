from collections.abc import Iterator
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from services.common.settings import InvalidSettings, ServiceSettings, Wrong


def test_fields_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_NODE", "sig-1")
    monkeypatch.setenv("TANDEM_STREAM_REPLICAS", "3")
    monkeypatch.setenv("TANDEM_SOMETHING_ELSE", "x")
    settings = ServiceSettings()
    assert (settings.node, settings.stream_replicas) == ("sig-1", 3)


@pytest.mark.parametrize("node", ["", "a b", "a/b", "a.b", 'a"b', "x" * 64])
def test_node_name_is_fit_for_message_ids(monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    monkeypatch.setenv("TANDEM_NODE", node)
    with pytest.raises(InvalidSettings):
        ServiceSettings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        ServiceSettings().node = "other"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_POSTGRES_DSN", "postgresql://u:hunter2@h/db")
    assert "hunter2" not in repr(ServiceSettings())


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_NODE", "sig-1")
    assert ServiceSettings(node="sig-2").node == "sig-2"


def test_fields_of_a_service_are_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(ServiceSettings):
        limit: int = 1
        is_open: bool = False

    monkeypatch.setenv("TANDEM_LIMIT", "7")
    monkeypatch.setenv("TANDEM_IS_OPEN", "true")
    assert (Own().limit, Own().is_open) == (7, True)


@pytest.mark.parametrize("replicas", ["0", "6", "two", ""])
def test_value_out_of_bounds_is_refused(monkeypatch: pytest.MonkeyPatch, replicas: str) -> None:
    monkeypatch.setenv("TANDEM_STREAM_REPLICAS", replicas)
    with pytest.raises(InvalidSettings):
        ServiceSettings()


class Own(ServiceSettings):
    limit: Annotated[int, Field(ge=1, le=9)] = 1
    share: Annotated[float, Field(gt=0)] = 1.0
    is_open: bool = False
    mode: Literal["on", "off"] = "off"
    least: int = 0
    key: str = Field(default="", repr=False, max_length=3)

    def contradictions(self) -> Iterator[Wrong]:
        if self.least > self.limit:
            yield Wrong("least", "must not be above TANDEM_LIMIT", ("limit",))
        if self.is_open and not self.key:
            yield Wrong("key", "is needed by TANDEM_IS_OPEN", ("is_open",))


def refused(monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[str, ...]:
    for name, value in variables.items():
        monkeypatch.setenv(f"TANDEM_{name.upper()}", value)
    with pytest.raises(InvalidSettings) as wrong:
        Own()
    assert wrong.value.__cause__ is None
    assert wrong.value.__suppress_context__ or wrong.value.__context__ is None
    return wrong.value.lines


def test_all_that_is_wrong_is_told_at_once_and_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = refused(
        monkeypatch, limit="ten", share="0", is_open="perhaps", mode="auto", node="a b",
        ops_address="9100", grpc_address="unix", log_level="loud", key="hunter2",
        nats_url="127.0.0.1:4222", postgres_dsn="mysql://u:hunter2@h/d", otlp_endpoint="collector",
        trace_ratio="2",
    )  # fmt: skip
    assert sorted(lines) == [
        "TANDEM_GRPC_ADDRESS is 'unix': must be host:port, an IPv6 host in brackets,"
        " or unix:/path",
        "TANDEM_IS_OPEN is 'perhaps': must be true or false",
        "TANDEM_KEY must be text of at most 3 characters",
        "TANDEM_LIMIT is 'ten': must be a whole number from 1 to 9",
        "TANDEM_LOG_LEVEL is 'loud': must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
        "TANDEM_MODE is 'auto': must be one of on, off",
        "TANDEM_NATS_URL must be a URL that begins with nats:// or tls:// or ws:// or wss://",
        "TANDEM_NODE is 'a b': must be 1 to 63 letters, digits, - and _",
        "TANDEM_OPS_ADDRESS is '9100': must be host:port, an IPv6 host in brackets",
        "TANDEM_OTLP_ENDPOINT is 'collector': must be a URL that begins with http:// or https://",
        "TANDEM_POSTGRES_DSN must be a URL that begins with postgresql:// or postgres://",
        "TANDEM_SHARE is '0': must be a number above 0",
        "TANDEM_TRACE_RATIO is '2': must be a number from 0 to 1",
    ]


def test_good_ones_are_held_against_each_other_beside_bad_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = refused(monkeypatch, least="5", limit="2", is_open="true", mode="auto")
    assert lines == (
        "TANDEM_MODE is 'auto': must be one of on, off",
        "TANDEM_LEAST is '5': must not be above TANDEM_LIMIT",
        "TANDEM_KEY is needed by TANDEM_IS_OPEN",
    )
    assert refused(monkeypatch, limit="none", is_open="false", mode="on") == (
        "TANDEM_LIMIT is 'none': must be a whole number from 1 to 9",
    )
