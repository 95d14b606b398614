"""No string of any option can end a header line or stand in two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.common.errors import Invalid
from services.common.sip_options.trunk import CustomerSip, VendorSip, inlined_schema, read_options

BREAKS = ["\r\nRoute: <sip:evil>", "\n", "\r", "a\r\n", "a\n", "a\0", "\x0b", "\x85", "\u2028"]


def strings(schema: dict[str, Any]) -> Iterator[Any]:
    """A value for each string of a schema, with ``EVIL`` in its place."""
    kind = schema.get("type")
    if kind == "string":
        yield "EVIL"
    elif kind == "array":
        yield from ([one] for one in strings(schema["items"]))
    elif kind == "object":
        for name, part in schema.get("properties", {}).items():
            yield from ({name: one} for one in strings(part))
        values = schema.get("additionalProperties")
        if isinstance(values, dict):
            yield {"EVIL": 480 if values.get("type") == "integer" else "x"}
            yield from ({"X-A": one} for one in strings(values))


def filled(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {filled(name, text): filled(part, text) for name, part in value.items()}
    if isinstance(value, list):
        return [filled(part, text) for part in value]
    return text if value == "EVIL" else value


PLACES = [
    (kind, place) for kind in (CustomerSip, VendorSip) for place in strings(inlined_schema(kind))
]


@pytest.mark.parametrize(("kind", "place"), PLACES, ids=str)
def test_line_breaks_are_refused_in_every_string(kind: Any, place: Any) -> None:
    for text in BREAKS:
        with pytest.raises(Invalid):
            read_options(kind, filled(place, text))


def test_the_places_are_found() -> None:
    found = str(PLACES)
    assert len(PLACES) >= 15
    assert all(name in found for name in ("add", "listed", "to_host", "charge_number", "reasons"))
