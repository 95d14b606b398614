"""No string of a trunk can bring a line of its own into SIP: each is refused where it enters."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from services.common.sip_options.trunk import CustomerSip, VendorSip, inlined_schema
from tests.integration.api.test_objects import trunk_body
from tests.support.sip_options import filled, strings

EVIL = "x\r\nRoute: <sip:evil>"
SIDES: list[tuple[str, Any, dict[str, Any]]] = [
    ("vendor_trunks", VendorSip, {"host": "192.0.2.9"}),
    ("customer_trunks", CustomerSip, {}),
]


def plain_strings(described: dict[str, Any], name: str) -> list[str]:
    """Fields of a body that take text."""
    properties = described["components"]["schemas"][name]["properties"]
    return [
        field for field, schema in properties.items()
        if schema.get("type") == "string" or schema.get("items", {}).get("type") == "string"
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "extra"), SIDES, ids=["vendor", "customer"])
async def test_line_breaks_in_any_string_are_422(
    api: httpx.AsyncClient, kind: str, options: Any, extra: dict[str, Any]
) -> None:
    body = {**await trunk_body(api, f"Smuggler {kind}"), **extra}
    made = await api.post(f"/v1/{kind}", json=body)
    assert made.status_code == 201, made.text
    path = f"/v1/{kind}/{made.json()['id']}"
    hostile: list[dict[str, Any]] = [
        {"sip": filled(place, EVIL)} for place in strings(inlined_schema(options))
    ]
    described = (await api.get("/openapi.json")).json()
    name = "VendorTrunkCreate" if kind == "vendor_trunks" else "CustomerTrunkCreate"
    for field in plain_strings(described, name):
        is_list = described["components"]["schemas"][name]["properties"][field]["type"] == "array"
        hostile.append({field: [EVIL] if is_list else EVIL})
    assert len(hostile) >= 10
    for changes in hostile:
        for answer in (
            await api.patch(path, json=changes),
            await api.post(f"/v1/{kind}", json={**body, "name": "other", **changes}),
        ):
            assert answer.status_code == 422, (changes, answer.text)
    assert (await api.get(path)).json() == made.json()


async def test_nor_in_a_document(api: httpx.AsyncClient) -> None:
    for kind, options, extra in SIDES:
        row = {"name": "t", "account": "a", "rate_deck": "d", **extra}
        for place in strings(inlined_schema(options)):
            document = {kind: [{**row, "sip": filled(place, EVIL)}]}
            assert (await api.post("/v1/apply", json=document)).status_code == 422
