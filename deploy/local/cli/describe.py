"""``apply``: reads a switch described in YAML, and shows what it changed."""

from pathlib import Path
from typing import Any

import yaml

from deploy.local.cli.client import Failed, Json
from deploy.local.cli.output import console


def read(path: Path) -> Json:
    """The document, with ``rates_file`` of each deck replaced by the text of that CSV file.

    Raises:
        Failed: a file cannot be read, or is no YAML mapping.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise Failed(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise Failed(f"{path}: a switch is described by a mapping: accounts, rate_decks, ...")
    decks = document.get("rate_decks")
    for index, deck in enumerate(decks if isinstance(decks, list) else []):
        if isinstance(deck, dict) and "rates_file" in deck:
            where = f"rate_decks[{index}].rates_file"
            deck["rates_csv"] = _sheet(path.parent / str(deck.pop("rates_file")), where)
    return document


def _sheet(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{where}: {error}") from error


_MARKS = {"created": "[green]+[/]", "changed": "[yellow]~[/]"}


def show(answer: Json) -> None:
    """One line for every object created or changed, and the old and new value of each field."""
    touched = 0
    for change in answer["changes"]:
        if change["action"] == "unchanged":
            continue
        touched += 1
        console.print(f"{_MARKS[change['action']]} {change['kind']} {change['name']}")
        for field, values in (change.get("fields") or {}).items():
            console.print(f"    {field}: {_text(values)}")
        if change.get("rates"):
            console.print("    rates: " + ", ".join(f"{v} {k}" for k, v in change["rates"].items()))
    total = len(answer["changes"])
    tense = "would change" if answer["dry_run"] else "changed"
    console.print(f"{touched} of {total} {tense}, {total - touched} unchanged")


def _text(values: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    if isinstance(values, dict) and {"from", "to"} <= values.keys():
        return f"{values['from']} -> {values['to']}"
    return str(values)
