"""Every example of the documentation, typed into one real switch."""

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.support.docs import DOCS, PAGES, Terminal, blocks
from tests.support.lab import Lab, answers_options, eventually
from tests.support.ports import free_port

STARTED = DOCS / "getting-started.md"
STAND_ALONE = ("README.md", "getting-started.md", "configuration.md")
"""Pages that begin with an empty switch; the others go on with that of getting started."""

_OBJECTS = ("customer_trunks", "vendor_trunks", "rate_decks", "webhooks", "users")


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("docs"), vendors=()) as lab:
        yield lab


@pytest.fixture
def terminal(switch: Lab, tmp_path: Path) -> Iterator[Terminal]:
    _forget_everything(switch)
    http = switch.switch.addresses.http
    ports = {"5060": switch.sip[1], "8080": int(http.rpartition(":")[2])}
    ports |= {number: free_port() for number in ("5070", "5071", "5080", "5090", "9090")}
    (tmp_path / "data").symlink_to(switch.folder / "data")
    terminal = Terminal(tmp_path, {"TANDEM_HTTP": http}, ports)
    yield terminal
    terminal.close()


def _forget_everything(lab: Lab) -> None:
    for collection in _OBJECTS:
        for row in lab.get(f"/v1/{collection}", limit=1000)["data"]:
            lab.http.delete(f"/v1/{collection}/{row['id']}").raise_for_status()
    # Accounts on which money moved cannot be removed, but their names can be free again.
    for row in lab.get("/v1/accounts", limit=1000)["data"]:
        renamed = lab.http.patch(f"/v1/accounts/{row['id']}", json={"name": row["id"]})
        renamed.raise_for_status()
    for row in lab.get("/v1/settings")["data"]:
        lab.http.delete(f"/v1/settings/{row['name']}").raise_for_status()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path, terminal: Terminal, switch: Lab) -> None:
    examples = [block for block in blocks(page) if block.words]
    if page.name not in STAND_ALONE and any("run" in block.words for block in examples):
        _begin(terminal, switch)
    for block in examples:
        if page.name != "kubernetes.md":
            terminal.play(block)


def _begin(terminal: Terminal, lab: Lab) -> None:
    description, _ = (block for block in blocks(STARTED) if block.option("file"))
    terminal.play(description)
    body = terminal.folder / "switch.yaml"
    assert re.search(r"name: acme-trunk", body.read_text())
    applied = next(block for block in blocks(STARTED) if "apply -f switch.yaml" in block.text)
    terminal.play(applied)
    eventually(partial(answers_options, lab.sip, "127.0.0.1"), what="trunk known")


def test_metrics_named_are_exported(switch: Lab) -> None:
    ports = json.loads((switch.folder / "data/ports.json").read_text())
    exported: set[str] = set()
    for name, port in ports.items():
        if name.endswith(".ops"):
            text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            exported |= set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`(tandem_\w+)`", page.read_text()))
        assert named <= exported, f"{page.name}: {named - exported}"


def test_paths_named_are_those_of_the_api(switch: Lab) -> None:
    paths = {path for path in switch.get("/openapi.json")["paths"] if path.startswith("/v1")}
    section = (DOCS / "api.md").read_text().partition("## Resources")[2].partition("\n## ")[0]
    named = {path for row in re.findall(r"^\| (`/v1[^|]*)\|", section, re.MULTILINE)
             for path in re.findall(r"`([^`]+)`", row)}  # fmt: skip
    assert named == paths
    for page in PAGES:
        others = re.findall(r"`(?:[A-Z]+ )?(/v1/[^`?]+)[^`]*`", page.read_text())
        assert {path.replace("NAME", "{name}") for path in others} <= paths, page.name
