import pytest
from pydantic import ValidationError

from services.common.settings import ServiceSettings


def test_fields_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_NODE", "sig-1")
    monkeypatch.setenv("TANDEM_STREAM_REPLICAS", "3")
    monkeypatch.setenv("TANDEM_SOMETHING_ELSE", "x")
    settings = ServiceSettings()
    assert (settings.node, settings.stream_replicas) == ("sig-1", 3)


@pytest.mark.parametrize("node", ["", "a b", "a/b", "a.b", 'a"b', "x" * 64])
def test_node_name_is_fit_for_message_ids(monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    monkeypatch.setenv("TANDEM_NODE", node)
    with pytest.raises(ValidationError):
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
    with pytest.raises(ValidationError):
        ServiceSettings()
