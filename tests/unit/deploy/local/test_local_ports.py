import secrets
import socket
from collections.abc import Iterator

import pytest

from deploy.local.errors import StartFailed
from deploy.local.ports import PORTS, Ports, is_free


@pytest.fixture
def ports() -> Iterator[Ports]:
    with Ports() as opened:
        yield opened


def test_a_port_that_somebody_took_is_replaced(ports: Ports) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = somebody.getsockname()[1]
        assert not is_free(taken)
        assert ports.choose(["nats"], {"nats": taken})["nats"] in PORTS


def test_no_two_names_share_a_port(ports: Ports) -> None:
    port = ports.choose(["a"], {})["a"]
    chosen = ports.choose(["a", "b"], {"a": port, "b": port})
    assert chosen["a"] == port
    assert chosen["b"] != port


def test_a_port_that_another_switch_chose_is_replaced_before_anything_listens_there(
    ports: Ports,
) -> None:
    with Ports() as another:
        port = another.choose(["nats"], {})["nats"]
        assert is_free(port), "nothing listens"
        assert ports.choose(["nats"], {"nats": port})["nats"] != port
    assert ports.choose(["nats"], {"nats": port})["nats"] == port


def test_when_no_port_is_left_the_start_fails(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ports() as another:
        port = another.choose(["nats"], {})["nats"]
        monkeypatch.setattr(secrets, "choice", lambda _: port)
        with pytest.raises(StartFailed, match="no free loopback port in 20000 to 31999"):
            ports.choose(["postgres"], {})
