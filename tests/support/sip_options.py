"""Every place in the options of a trunk where a string may stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PLACE = "EVIL"


def strings(schema: dict[str, Any]) -> Iterator[Any]:
    """A value for each string of a JSON schema, with :data:`PLACE` in it."""
    kind = schema.get("type")
    if kind == "string":
        yield PLACE
    elif kind == "array":
        yield from ([one] for one in strings(schema["items"]))
    elif kind == "object":
        for name, part in schema.get("properties", {}).items():
            yield from ({name: one} for one in strings(part))
        values = schema.get("additionalProperties")
        if isinstance(values, dict):
            yield {PLACE: 480 if values.get("type") == "integer" else "x"}
            yield from ({"X-A": one} for one in strings(values))


def filled(value: Any, text: str) -> Any:
    """``value`` with ``text`` in place of :data:`PLACE`."""
    if isinstance(value, dict):
        return {filled(name, text): filled(part, text) for name, part in value.items()}
    if isinstance(value, list):
        return [filled(part, text) for part in value]
    return text if value == PLACE else value
