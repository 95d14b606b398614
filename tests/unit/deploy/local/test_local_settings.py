from pathlib import Path

from deploy.local.layout import Layout
from deploy.local.settings import SERVICES, Addresses, Options, service_environment

ADDRESSES = Addresses(
    nats_url="nats://n",
    postgres_dsn="postgresql://p",
    clickhouse_dsn="clickhouse://c",
    admin_key="key",
    sip=("127.0.0.1:5060", "127.0.0.2:5060"),
    rtp="127.0.0.1:12000-15000",
    http="127.0.0.1:8080",
    ops=dict.fromkeys(SERVICES, 20_000) | {"media": 20_001},
    grpc={name: f"unix:/run/{name}.sock" for name in SERVICES},
)


def environment(name: str, tmp_path: Path, **extra: str) -> dict[str, str]:
    layout = Layout(tmp_path)
    layout.create()
    return service_environment(name, Options(tmp_path, environment=extra), ADDRESSES, layout)


def test_signaling_is_told_where_its_peers_are(tmp_path: Path) -> None:
    told = environment("signaling", tmp_path)
    assert told["TANDEM_SIP"] == "127.0.0.1:5060,127.0.0.2:5060"
    assert told["TANDEM_MEDIA_ADDRESS"] == "unix:/run/media.sock"
    assert told["TANDEM_GRPC_ADDRESS"] == "unix:/run/signaling.sock"
    assert told["TANDEM_NODE"] == "signaling-1"
    assert "TANDEM_ADMIN_KEY" not in told


def test_media_is_told_its_ports(tmp_path: Path) -> None:
    told = environment("media", tmp_path)
    assert told["TANDEM_RTP"] == "127.0.0.1:12000-15000"
    assert told["TANDEM_OPS_ADDRESS"] == "127.0.0.1:20001"


def test_api_is_told_the_key_and_everybody(tmp_path: Path) -> None:
    told = environment("api", tmp_path)
    assert told["TANDEM_ADMIN_KEY"] == "key"
    assert told["TANDEM_SIGNALING_ADDRESS"] == "unix:/run/signaling.sock"


def test_every_service_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = {environment(name, tmp_path)["TANDEM_DATA_DIR"] for name in SERVICES}
    assert len(folders) == len(SERVICES)
    assert all(Path(folder).is_dir() for folder in folders)


def test_further_settings_do_not_replace_the_contract(tmp_path: Path) -> None:
    told = environment("routing", tmp_path, TANDEM_LOG_LEVEL="DEBUG", TANDEM_NATS_URL="nats://x")
    assert told["TANDEM_LOG_LEVEL"] == "DEBUG"
    assert told["TANDEM_NATS_URL"] == "nats://n"


def test_secrets_are_not_printed() -> None:
    assert "key" not in repr(ADDRESSES).replace("admin_key", "")
    assert "nats://n" not in repr(ADDRESSES)
