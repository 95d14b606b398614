"""The Helm chart renders, lints and is valid Kubernetes."""

import importlib
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from services.common.settings import ServiceSettings
from services.signaling.sip.listeners import read_listeners

CHART = Path(__file__).parents[3] / "deploy/k8s/tandem"
KUBERNETES = "1.31"
SERVICES = ("signaling", "media", "routing", "rating", "api")


def render(**values: Any) -> list[dict[str, Any]]:
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render(values, name="tdm", namespace="voice")
    manifests = [text for path, text in files.items() if not path.endswith("NOTES.txt")]
    return [d for text in manifests for d in yaml.safe_load_all(text) if d]


def workload(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    kinds = ("Deployment", "StatefulSet", "Job")
    (found,) = [d for d in documents if d["kind"] in kinds and d["metadata"]["name"] == name]
    return found


def env(document: dict[str, Any]) -> dict[str, Any]:
    (container,) = document["spec"]["template"]["spec"]["containers"]
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}


def test_lint_finds_nothing_to_complain_about() -> None:
    report = helm_python.lint(str(CHART), strict=True, kube_version=f"v{KUBERNETES}.0")
    assert report["errors"] == []
    assert [m for m in report["messages"] if m["severity"] >= 2] == []


@pytest.mark.parametrize(
    "values",
    [{}, {"api": {"ingress": {"enabled": True, "tlsSecret": "tls", "className": "nginx"}}}],
    ids=["defaults", "ingress"],
)
def test_every_document_is_valid(values: dict[str, Any]) -> None:
    documents = render(**values)
    for document in documents:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    assert len(documents) >= len(SERVICES) * 3


def test_one_image_runs_the_five_services() -> None:
    documents = render(image={"repository": "registry.example.com/tandem", "tag": "1.2.3"})
    for service in SERVICES:
        pod = workload(documents, f"tdm-{service}")["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == "registry.example.com/tandem:1.2.3"
        assert pod["containers"][0]["args"] == ["-m", f"services.{service}"]


def test_sip_and_rtp_are_on_the_host_network_and_only_they() -> None:
    documents = render()
    on_host = {
        service
        for service in SERVICES
        if workload(documents, f"tdm-{service}")["spec"]["template"]["spec"].get("hostNetwork")
    }
    assert on_host == {"signaling", "media"}


def test_signaling_keeps_its_spool_and_may_finish_its_calls() -> None:
    signaling = workload(render(), "tdm-signaling")["spec"]
    assert [c["metadata"]["name"] for c in signaling["volumeClaimTemplates"]] == ["data"]
    assert signaling["template"]["spec"]["terminationGracePeriodSeconds"] == 18000
    assert env({"spec": signaling})["TANDEM_RATING_ADDRESS"] == "tdm-rating.voice.svc:5004"


def test_api_knows_every_signaling_pod_by_name() -> None:
    api = workload(render(signaling={"replicas": 2}), "tdm-api")
    assert env(api)["TANDEM_SIGNALING_ADDRESS"] == (
        "tdm-signaling-0.tdm-signaling.voice.svc:5001,tdm-signaling-1.tdm-signaling.voice.svc:5001"
    )


def test_migrations_run_before_anything_is_installed_or_upgraded() -> None:
    job = workload(render(), "tdm-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert {"TANDEM_POSTGRES_DSN", "TANDEM_CLICKHOUSE_DSN"} <= env(job).keys()


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_a_setting_of_its_service(service: str) -> None:
    module = importlib.import_module(f"services.{service}.settings")
    (settings,) = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, ServiceSettings)
        and value is not ServiceSettings
    ]
    known = {f"TANDEM_{name.upper()}" for name in settings.model_fields}
    values: dict[str, Any] = {
        "signaling": {
            "advertisedAddress": "192.0.2.1",
            "tlsSecret": "tls",
            "tlsAuthorities": True,
        },
        "media": {"advertisedAddress": "192.0.2.1"},
    }
    given = env(workload(render(**values), f"tdm-{service}")).keys() - {"HOST_IP"}
    assert given - known == set()


def test_further_transports_have_ports_and_certificates() -> None:
    values = {"tlsPort": 5061, "wssPort": 443, "tlsSecret": "sip-tls", "tlsAuthorities": True}
    documents = render(signaling=values)
    signaling = workload(documents, "tdm-signaling")
    kubernetes_validate.validate(signaling, KUBERNETES, strict=True)
    told = env(signaling)
    assert told["TANDEM_SIP"] == "$(HOST_IP):5060,tls:$(HOST_IP):5061,wss:$(HOST_IP):443"
    assert told["TANDEM_TLS_AUTHORITIES"] == "/tls/ca.crt"
    pod = signaling["spec"]["template"]["spec"]
    ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
    assert (ports["sip-tls"], ports["sip-wss"], "sip-ws" in ports) == (5061, 443, False)
    (volume,) = [each for each in pod["volumes"] if each["name"] == "tls"]
    assert volume["secret"] == {"secretName": "sip-tls"}
    media = workload(documents, "tdm-media")["spec"]["template"]["spec"]
    assert "tls" not in {each["name"] for each in media["volumes"]}


def test_listening_addresses_may_be_named() -> None:
    listed = ["outside@$(HOST_IP):5060=192.0.2.1", "inside@udp:$(HOST_IP):5070"]
    signaling = workload(render(signaling={"listeners": listed}), "tdm-signaling")
    kubernetes_validate.validate(signaling, KUBERNETES, strict=True)
    told = env(signaling)["TANDEM_SIP"]
    assert told == ",".join(listed)
    listeners = read_listeners(told.replace("$(HOST_IP)", "10.0.0.5"), "", str)
    assert {(each.name, each.transport, each.port) for each in listeners} == {
        ("outside", "udp", 5060),
        ("outside", "tcp", 5060),
        ("inside", "udp", 5070),
    }


@pytest.mark.parametrize("listed", ["a:5060,b:5060", "outside @a:5060"])
def test_a_listening_address_is_one_word(listed: str) -> None:
    with pytest.raises(helm_python.HelmError, match="listeners"):
        render(signaling={"listeners": [listed]})


def test_values_that_cannot_work_are_refused() -> None:
    with pytest.raises(helm_python.HelmError, match="rtpPorts"):
        render(media={"rtpPorts": "everything"})
