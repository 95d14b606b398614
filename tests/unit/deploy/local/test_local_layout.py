import json
import os
import stat
import tempfile
from pathlib import Path

import pytest

from deploy.local.errors import AlreadyRunning, StartFailed
from deploy.local.layout import SECRETS, Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    created = Layout(tmp_path / "data")
    created.create()
    return created


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_kept_to_ourselves(layout: Layout) -> None:
    made = layout.secrets()
    assert set(made) == set(SECRETS)
    assert len(set(made.values())) == len(SECRETS)
    assert layout.secrets() == made
    assert mode(layout.data / "secrets.json") == 0o600
    assert mode(layout.data) == 0o700


def test_a_secret_that_is_missing_is_added_to_the_others(layout: Layout) -> None:
    (layout.data / "secrets.json").write_text(json.dumps({"nats": "kept"}))
    made = layout.secrets()
    assert made["nats"] == "kept"
    assert set(made) == set(SECRETS)


@pytest.mark.parametrize("content", ["", "{", "[]", "7"])
def test_a_damaged_file_is_named(layout: Layout, content: str) -> None:
    (layout.data / "secrets.json").write_text(content)
    with pytest.raises(StartFailed, match=r"secrets\.json is damaged"):
        layout.secrets()


def test_ports_stay_the_same(layout: Layout) -> None:
    with layout.locked():
        ports = layout.ports(["nats", "postgres"])
        assert layout.ports(["nats", "postgres"]) == ports
        assert layout.ports(["nats", "postgres", "api.ops"]) == ports | {
            "api.ops": layout.ports(["api.ops"])["api.ops"]
        }
    with layout.locked():
        assert layout.ports(["nats", "postgres"]) == ports, "those of a run before"


def test_a_data_folder_has_one_holder(layout: Layout) -> None:
    with layout.locked():
        with pytest.raises(AlreadyRunning) as refused, Layout(layout.data).locked():
            pass
        assert refused.value.pid == os.getpid()
    with layout.locked():
        pass


def test_sockets_lie_in_the_data_folder_where_its_path_is_short_enough(layout: Layout) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        short = Layout(Path(place))
        with short.sockets() as folder:
            assert folder == short.data / "run"
    long = Layout(layout.data / ("x" * 100))
    long.create()
    with long.sockets() as folder:
        assert len(str(folder / "signaling.sock")) < 60
        assert mode(folder) == 0o700
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartFailed, match="data folder"):
        Layout(tmp_path / "file" / "data").create()
