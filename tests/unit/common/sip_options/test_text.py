"""No string of any option can end a header line or stand in two."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import Invalid
from services.common.sip_options.trunk import CustomerSip, VendorSip, inlined_schema, read_options
from tests.support.sip_options import filled, strings

BREAKS = ["\r\nRoute: <sip:evil>", "\n", "\r", "a\r\n", "a\n", "a\0", "\x0b", "\x85", "\u2028"]


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
