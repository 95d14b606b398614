"""Customers told apart, passwords that are never shown, registrations that are."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import httpx
import pytest

from proto.signaling.v1.signaling_pb2 import Registration
from services.api.core.passwords import MASK
from services.common.digest import every_ha1
from tests.integration.api.others import Others
from tests.integration.api.test_apply import apply

SECRET, OTHER, VENDORS = "correct horse", "battery staple", "vendor secret 7"


def document(**customer: Any) -> dict[str, Any]:
    auth = {"username": "tandem", "password": VENDORS}
    return {
        "accounts": [{"name": "a", "currency": "USD"}],
        "rate_decks": [{"name": "d", "currency": "USD"}],
        "vendor_trunks": [
            {"name": "v", "account": "a", "rate_deck": "d", "host": "192.0.2.9",
             "sip": {"auth": auth, "register": {"enabled": True}}},
        ],
        "customer_trunks": [{"name": "c", "account": "a", "rate_deck": "d", **customer}],
    }  # fmt: skip


async def everything_shown(api: httpx.AsyncClient) -> str:
    paths = ("customer_trunks", "vendor_trunks", "audit_events")
    return " ".join([(await api.get(f"/v1/{path}?limit=500")).text for path in paths])


async def kept(database: str) -> dict[str, Any]:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT username, realm, ha1 FROM config.customer_trunk_credential"
    )
    await connection.close()
    return {row["username"]: (row["realm"], json.loads(row["ha1"])) for row in rows}


async def named(api: httpx.AsyncClient, kind: str, name: str) -> dict[str, Any]:
    (found,) = (await api.get(f"/v1/{kind}?name={name}")).json()["data"]
    return dict(found)


async def test_passwords_go_in_and_never_come_out(api: httpx.AsyncClient, database: str) -> None:
    given = document(credentials=[{"username": "alice", "password": SECRET}])
    made = await apply(api, given)
    again = await apply(api, given)
    assert (again["changed"], again["unchanged"]) == (0, 4)
    shown = await everything_shown(api) + json.dumps([made, again])
    assert SECRET not in shown
    assert VENDORS not in shown
    assert "ha1" not in shown
    assert await kept(database) == {"alice": ("sip", every_ha1("alice", "sip", SECRET))}
    customer = await named(api, "customer_trunks", "c")
    assert customer["credentials"] == [{"username": "alice"}]
    vendor = await named(api, "vendor_trunks", "v")
    assert vendor["sip"]["auth"] == {"username": "tandem", "password": MASK}

    # What was shown can be sent back as it is.
    for kind, one in (("customer_trunks", customer), ("vendor_trunks", vendor)):
        fields = {name: one[name] for name in ("sip", "credentials") if name in one}
        answer = await api.patch(f"/v1/{kind}/{one['id']}", json=fields)
        assert answer.status_code == 200, answer.text
        assert answer.json()["updated_at"] == one["updated_at"]
    connection = await asyncpg.connect(database)
    stored = await connection.fetchval("SELECT sip FROM config.vendor_trunk WHERE name = 'v'")
    await connection.close()
    assert json.loads(stored)["auth"]["password"] == VENDORS


async def test_a_changed_password_is_a_change(api: httpx.AsyncClient, database: str) -> None:
    await apply(api, document(credentials=[{"username": "alice", "password": SECRET}]))
    both = [{"username": "bob", "password": SECRET}, {"username": "alice", "password": OTHER}]
    changed = await apply(api, document(credentials=both))
    assert changed["changed"] == 1
    assert OTHER not in json.dumps(changed)
    assert (await apply(api, document(credentials=both[::-1])))["changed"] == 0
    assert (await apply(api, document(credentials=[{"username": "alice"}])))["changed"] == 1
    assert await kept(database) == {"alice": ("sip", every_ha1("alice", "sip", OTHER))}
    vendor = document()
    vendor["vendor_trunks"][0]["sip"]["auth"]["password"] = OTHER
    vendor["customer_trunks"] = []
    changed = await apply(api, vendor)
    assert changed["changed"] == 1
    assert OTHER not in json.dumps(changed)


async def test_a_password_is_needed_once(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/apply", json=document(credentials=[{"username": "carol"}]))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["path"] == "customer_trunks[0].credentials[0].password"
    masked = document()
    masked["vendor_trunks"][0] |= {"name": "new"}
    masked["vendor_trunks"][0]["sip"]["auth"]["password"] = MASK
    answer = await api.post("/v1/apply", json=masked)
    assert answer.json()["errors"][0]["path"] == "vendor_trunks[0].sip.auth.password"


async def test_another_realm_wants_the_passwords_again(
    api: httpx.AsyncClient, database: str
) -> None:
    given = document(credentials=[{"username": "alice", "password": SECRET}])
    await apply(api, given)
    moved = await apply(api, given | {"settings": {"sip_realm": "voip.example"}})
    assert (moved["created"], moved["changed"]) == (1, 1)  # the setting; what is kept
    assert (await kept(database))["alice"][0] == "voip.example"
    assert (await apply(api, given))["changed"] == 0
    await api.delete("/v1/settings/sip_realm")


@pytest.mark.parametrize(
    "credentials",
    [
        [{"username": "a b", "password": SECRET}],
        [{"username": "a\r\nb", "password": SECRET}],
        [{"username": "", "password": SECRET}],
        [{"username": "a", "password": "short"}],
        [{"username": "a", "password": "12345678\n"}],
        [{"username": "a", "password": SECRET}, {"username": "a", "password": OTHER}],
        [{"username": "a", "ha1": {}}],
        "alice",
    ],
)
async def test_what_is_no_credential(api: httpx.AsyncClient, credentials: object) -> None:
    answer = await api.post("/v1/apply", json=document(credentials=credentials))
    assert answer.status_code == 422
    assert SECRET not in answer.text


async def test_a_username_is_unique_in_the_switch(api: httpx.AsyncClient) -> None:
    await apply(api, document(credentials=[{"username": "alice", "password": SECRET}]))
    other = document(name="c2", credentials=[{"username": "alice", "password": OTHER}])
    answer = await api.post("/v1/apply", json=other)
    assert answer.json()["errors"][0]["path"] == "customer_trunks[0].credentials[0].username"
    first = await named(api, "customer_trunks", "c")
    body = {"name": "c3", "account_id": first["account_id"],
            "rate_deck_id": first["rate_deck_id"],
            "credentials": [{"username": "alice", "password": OTHER}]}  # fmt: skip
    answer = await api.post("/v1/customer_trunks", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
    assert "'c'" in answer.text


async def test_an_address_is_shared_by_who_is_told_apart(api: httpx.AsyncClient) -> None:
    await apply(api, document(addresses=["198.51.100.1", "198.51.100.0/24"], tech_prefix="11"))
    two = document(name="two", addresses=["198.51.100.1"], tech_prefix="22")
    await apply(api, two)
    assert (await apply(api, two))["changed"] == 0
    shown = await named(api, "customer_trunks", "c")
    assert (shown["tech_prefix"], shown["addresses"]) == (
        "11", ["198.51.100.0/24", "198.51.100.1"]
    )  # fmt: skip
    trunk = await named(api, "customer_trunks", "two")
    answer = await api.patch(f"/v1/customer_trunks/{trunk['id']}", json={"tech_prefix": "11"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
    answer = await api.patch(f"/v1/customer_trunks/{trunk['id']}", json={"from_user": "1000"})
    assert answer.status_code == 200
    answer = await api.patch(f"/v1/customer_trunks/{trunk['id']}", json={"tech_prefix": "11"})
    assert answer.status_code == 200
    for kind in ("c", "two"):
        one = await named(api, "customer_trunks", kind)
        assert (await api.delete(f"/v1/customer_trunks/{one['id']}")).status_code == 204


async def test_registrations_are_listed(api: httpx.AsyncClient, others: Others) -> None:
    others.registrations = [
        Registration(direction="out", username="tandem", vendor_trunk_id="vtr_1", node="n1",
                     contact="sip:tandem@192.0.2.1", state="refused", status=403,
                     retry_at_unix_ms=1_900_000_060_000),
        Registration(direction="in", username="bob", customer_trunk_id="ctr_1", node="n1",
                     contact="sip:bob@192.0.2.4", source="192.0.2.4:5060;udp",
                     state="registered", expires_at_unix_ms=1_900_000_000_000),
        Registration(direction="in", username="alice", customer_trunk_id="ctr_2", node="n1",
                     contact="sip:alice@192.0.2.5", state="registered"),
    ]  # fmt: skip
    first = (await api.get("/v1/registrations?limit=2")).json()
    assert [one["username"] for one in first["data"]] == ["alice", "bob"]
    assert first["data"][1]["expires_at"] == "2030-03-17T17:46:40Z"
    rest = (await api.get(f"/v1/registrations?after={first['next']}")).json()
    assert [(one["state"], one["status"]) for one in rest["data"]] == [("refused", 403)]
    assert rest["next"] is None
    for query, names in (
        ("direction=out", ["tandem"]), ("username=bob", ["bob"]), ("trunk_id=ctr_2", ["alice"]),
    ):  # fmt: skip
        found = (await api.get(f"/v1/registrations?{query}")).json()["data"]
        assert [one["username"] for one in found] == names
    assert (await api.get("/v1/registrations?direction=up")).status_code == 422
