"""The documentation and the code name the same things."""

import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import pytest
import typer.main
import yaml
from pydantic import BaseModel

from deploy.local.cli.commands import app
from services.api.core.export import COLUMNS
from services.api.core.keys import RESOURCES
from services.api.core.rates import OnError
from services.api.core.setting import SETTINGS as SETTINGS_OF_THE_SWITCH
from services.api.core.webhook_event import TYPES
from services.api.entrypoints.http.documents import ApplyDocument
from services.api.entrypoints.http.problem import TITLES
from services.api.settings import Settings as ApiSettings
from services.common.causes import EndReason
from services.common.explanation import Verdict
from services.common.settings import ServiceSettings
from services.common.sip_options.trunk import CustomerSip, VendorSip, inlined_schema
from services.media.settings import MediaSettings
from services.rating.settings import RatingSettings
from services.routing.settings import RoutingSettings
from services.signaling.core.switch_settings import SwitchSettings
from services.signaling.settings import SignalingSettings
from tests.support.docs import DOCS, PAGES, ROOT, blocks, prose

SETTINGS: tuple[type[ServiceSettings], ...] = (
    ApiSettings, MediaSettings, RatingSettings, RoutingSettings, SignalingSettings
)  # fmt: skip
CHART = ROOT / "deploy/k8s/tandem"
_VARIABLE = re.compile(r"\bTANDEM_[A-Z_]+\b")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def page(name: str) -> str:
    return (DOCS / name).read_text()


def mentioned(text: str) -> set[str]:
    """Everything between single backticks."""
    return {
        part for code in re.findall(r"`([^`\n]+)`", text) for part in re.split(r"[,\s]+", code)
    }


@cache
def anchors(path: Path) -> set[str]:
    """What the headings of a page can be linked by, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}


def cli_commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def cli_variables() -> set[str]:
    names: set[str] = set()
    for command in cli_commands().values():
        for parameter in command.params:
            given = parameter.envvar or ()
            names |= {given} if isinstance(given, str) else set(given)
    return names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(prose(path)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_every_page_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    linked = set(_LINK.findall(readme))
    assert {f"docs/{path.name}" for path in DOCS.glob("*.md")} <= linked


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_data_in_examples_can_be_read(path: Path) -> None:
    for block in blocks(path):
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            assert isinstance(yaml.safe_load(block.text), dict), block.where
        elif block.language == "python":
            compile(block.text, block.where, "exec")


def test_variables_are_those_of_the_code() -> None:
    fields = {f"TANDEM_{name.upper()}" for one in SETTINGS for name in one.model_fields}
    known = fields | cli_variables()
    named = {name for path in PAGES for name in _VARIABLE.findall(path.read_text())}
    assert named - known == set()
    assert known - set(_VARIABLE.findall(page("configuration.md"))) == set()


def test_settings_are_those_of_the_code() -> None:
    code = "".join(path.read_text() for path in (ROOT / "services").rglob("*.py"))
    known = set(re.findall(r"config\.setting WHERE name = '(\w+)'", code))
    known |= set(SwitchSettings.__struct_fields__)
    assert known == set(SETTINGS_OF_THE_SWITCH)
    section = page("configuration.md").partition("\n## settings\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]+)`|empty) \|", section, re.MULTILINE)
    described = dict(rows)
    assert described == {
        name: json.dumps(one.default).strip('"') for name, one in SETTINGS_OF_THE_SWITCH.items()
    }


def _fields(shape: Any) -> set[str]:
    assert isinstance(shape, type)
    assert issubclass(shape, BaseModel)
    return set(shape.model_fields)


@pytest.mark.parametrize(
    "section",
    [name for name in ApplyDocument.model_fields if name != "settings"],
)
def test_every_field_of_a_document_is_described(section: str) -> None:
    text = page("configuration.md").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    shape = _item(ApplyDocument, section)
    wanted = _fields(shape)
    if section == "rate_decks":
        wanted |= _fields(_item(shape, "rates")) | {"rates_file"}
    assert wanted - mentioned(text) == set()


def _item(shape: Any, field: str) -> Any:
    """The class of the objects in a list field."""
    found = re.search(r"\.(\w+)\]", str(shape.model_fields[field].annotation))
    assert found is not None
    return getattr(sys.modules["services.api.entrypoints.http.documents"], found[1])


@pytest.mark.parametrize(("kind", "of"), [(CustomerSip, "customers"), (VendorSip, "vendors")])
def test_every_sip_option_is_described(kind: type[CustomerSip] | type[VendorSip], of: str) -> None:
    section = page("configuration.md").partition("\n## SIP options\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*`) \| ([a-z, ]+) \|", section, re.MULTILINE)
    described = {
        path
        for paths, sides in rows
        if of in sides or sides == "both"
        for path in re.findall(r"`([\w.]+)`", paths)
    }
    assert described == _option_paths(inlined_schema(kind))


def _option_paths(schema: dict[str, Any], path: str = "") -> set[str]:
    """``group.option`` of every leaf; an object without properties is one."""
    if "properties" not in schema:
        return {path}
    return {
        leaf
        for name, inner in schema["properties"].items()
        for leaf in _option_paths(inner, f"{path}.{name}" if path else name)
    } - {""}


def test_a_full_document_names_every_field() -> None:
    (block,) = [one for one in blocks(DOCS / "configuration.md") if one.language == "yaml"]
    document = yaml.safe_load(block.text)
    for section, rows in document.items():
        if section == "settings":
            continue
        shown = {name for row in rows for name in row} - {"rates_file"}
        unwritten = {"secret", "rates_csv"}
        assert _fields(_item(ApplyDocument, section)) - unwritten == shown, section


def test_every_command_is_described() -> None:
    text = page("getting-started.md").partition("\n## The commands\n")[2]
    assert set(re.findall(r"`tandem ([a-z-]+)", text)) == set(cli_commands())


def _options_of(command: Any) -> set[str]:
    """Those of its own commands too, if it has any."""
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    return known.union(*map(_options_of, getattr(command, "commands", {}).values()))


def test_commands_and_options_in_pages_exist() -> None:
    commands = cli_commands()
    for path in PAGES:
        for name, rest in re.findall(
            r"^\$ .*?\./tandem ([a-z-]+)([^\n|]*)", path.read_text(), re.M
        ):
            assert name in commands, f"{path.name}: {name}"
            known = _options_of(commands[name])
            used = set(re.findall(r"(?<!\S)(--[a-z-]+)", rest)) - {"--"}
            assert used <= known | {"--help"}, f"{path.name}: {name} {used - known}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cdrs.md", {*COLUMNS, "attempts", "media_caller", "media_callee", "explanation"}),
        ("cdrs.md", {str(reason) for reason in EndReason}),
        ("routing.md", {str(verdict) for verdict in Verdict} - {"candidate"}),
        ("webhooks.md", {*TYPES, "webhook.test"}),
        ("configuration.md", set(TYPES)),
        ("api.md", {*RESOURCES, *TITLES}),
        ("rate-sheets.md", {"full", "partial", "delete"}),
    ],
    ids=["columns", "reasons", "verdicts", "events", "events-2", "scopes-codes", "modes"],
)
def test_lists_are_complete(name: str, words: set[str]) -> None:
    assert words - mentioned(page(name)) == set()


def test_import_options_exist() -> None:
    assert f"--on-error {OnError.SKIP}" in page("rate-sheets.md")


def test_chart_takes_the_values_shown() -> None:
    (block,) = [one for one in blocks(DOCS / "kubernetes.md") if one.language == "yaml"]
    values = yaml.safe_load(block.text)
    with helm_python.Chart.load(str(CHART)) as chart:
        files = chart.render(values, name="tandem", namespace="voice")
    rendered = "\n".join(files.values())
    assert "registry.example.com/tandem:0.1.0" in rendered
    assert "tandem-tls" in rendered


def test_values_of_the_chart_exist() -> None:
    chart = yaml.safe_load((CHART / "values.yaml").read_text())
    named = re.findall(r"`((?:image|signaling|media|api)\.\w+)`", page("kubernetes.md"))
    assert named
    for path in named:
        section, name = path.split(".")
        assert name in chart[section], path
