"""``apply``: reads a switch described in YAML, and shows what it changed."""

from pathlib import Path

from rich.markup import escape

from deploy.local.cli.client import Failed, Json
from deploy.local.cli.output import console, harmless


def read(path: Path) -> Json:
    """The document, with ``rates_file`` of each deck replaced by the text of that CSV file.

    Raises:
        Failed: a file cannot be read, or is no YAML mapping.
    """
    # Here: 20 ms that only this command has a use for.
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML whose instants stay the text they are: the API reads them, and wants a zone."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        document = yaml.load(path.read_text(), Loader)  # noqa: S506 - a safe loader
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


def differences(field: str, old: object, new: object) -> list[str]:
    """``field: old -> new`` for each value that differs, those inside an object each by itself."""
    if not isinstance(old, dict) and not isinstance(new, dict):
        return [] if old == new else [harmless(f"{field}: {_said(old)} -> {_said(new)}")]
    before = old if isinstance(old, dict) else {}
    after = new if isinstance(new, dict) else {}
    return [
        line
        for name in {**before, **after}
        for line in differences(f"{field}.{name}", before.get(name), after.get(name))
    ]


def _said(value: object) -> str:
    return "default" if value is None else str(value)


_MARKS = {"created": "[green]+[/]", "changed": "[yellow]~[/]"}


def show(answer: Json) -> None:
    """One line for every object created or changed, and the old and new value of each field."""
    for one in answer["objects"]:
        if one["action"] == "unchanged":
            continue
        console.print(f"{_MARKS[one['action']]} {one['kind']} {escape(one['name'])}")
        for field, values in one["changes"].items():
            for line in differences(field, values["old"], values["new"]):
                console.print(f"    {line}", markup=False)
        counts = one.get("rates", {})
        if any(counts.get(name) for name in ("added", "changed", "ended")):
            console.print("    rates: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    verb = "would be " if answer["dry_run"] else ""
    console.print(
        f"{answer['created']} {verb}created, {answer['changed']} {verb}changed, "
        f"{answer['unchanged']} unchanged"
    )
