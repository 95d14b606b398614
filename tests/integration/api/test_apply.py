"""A whole switch from one document, on a real Postgres."""

import asyncio
import copy
from typing import Any

import asyncpg
import httpx

from services.common.bus import Bus
from services.common.events import CONFIG_CHANGED_SUBJECT, decode_config_changed

DOCUMENT: dict[str, Any] = {
    "accounts": [
        {"name": "alpha", "currency": "USD", "credit_limit": "5"},
        {"name": "omega", "currency": "USD"},
    ],
    "rate_decks": [
        {
            "name": "sell",
            "currency": "USD",
            "rates": [{"prefix": "44", "price": "0.02"}, {"prefix": "1", "price": "0.01"}],
        },
        {"name": "buy", "currency": "USD", "rates_csv": "Code,Rate\n44,0.01\n1,0.005\n"},
    ],
    "vendor_trunks": [
        {"name": "out", "account": "omega", "rate_deck": "buy", "host": "127.0.0.1", "port": 5090}
    ],
    "customer_trunks": [
        {
            "name": "in",
            "account": "alpha",
            "rate_deck": "sell",
            "addresses": ["127.0.0.1:5070"],
            "vendor_trunks": ["out"],
        }
    ],
    "users": [{"name": "ops", "scopes": ["calls:*"]}],
    "webhooks": [{"url": "https://example.net/hook"}],
    "settings": {"reply_to_unknown": True},
}


async def apply(
    api: httpx.AsyncClient, document: dict[str, Any], *, dry_run: bool = False
) -> dict[str, Any]:
    answer = await api.post("/v1/apply", json=document, params={"dry_run": dry_run})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def revision(database: str) -> int:
    connection = await asyncpg.connect(database)
    number: int = await connection.fetchval("SELECT n FROM config.revision")
    await connection.close()
    return number


async def test_applied_once_then_unchanged_then_changed(
    api: httpx.AsyncClient, database: str
) -> None:
    dry = await apply(api, DOCUMENT, dry_run=True)
    assert (dry["dry_run"], dry["created"]) == (True, 9)
    assert (await api.get("/v1/accounts?name=alpha")).json()["data"] == []

    before = await revision(database)
    first = await apply(api, DOCUMENT)
    assert (first["created"], first["changed"], first["unchanged"]) == (9, 0, 0)
    assert await revision(database) == before + 1
    decks = {one["name"]: one["rates"] for one in first["objects"] if one["kind"] == "rate_deck"}
    assert decks["sell"]["added"] == decks["buy"]["added"] == 2
    ids = {one["name"]: one["id"] for one in first["objects"]}
    trunk = (await api.get(f"/v1/customer_trunks/{ids['in']}")).json()
    assert trunk["account_id"] == ids["alpha"]
    assert trunk["vendor_trunk_ids"] == [ids["out"]]

    second = await apply(api, DOCUMENT)
    assert (second["created"], second["changed"], second["unchanged"]) == (0, 0, 9)
    assert await revision(database) == before + 1

    changed = copy.deepcopy(DOCUMENT)
    changed["accounts"][0]["credit_limit"] = 7.5
    changed["rate_decks"][0]["rates"] = [{"prefix": "44", "price": "0.03"}]
    changed["customer_trunks"][0]["addresses"] = ["127.0.0.1:5071"]
    third = await apply(api, changed)
    assert (third["created"], third["changed"], third["unchanged"]) == (0, 3, 6)
    by_name = {one["name"]: one for one in third["objects"]}
    assert by_name["alpha"]["changes"] == {"credit_limit": {"old": "5", "new": "7.5"}}
    assert by_name["sell"]["rates"] == {"added": 0, "changed": 1, "unchanged": 0, "ended": 1}
    assert by_name["in"]["changes"]["addresses"]["new"] == ["127.0.0.1:5071"]
    assert await revision(database) == before + 2


async def test_what_is_wrong_is_named_and_nothing_written(
    api: httpx.AsyncClient, database: str
) -> None:
    wrong: dict[str, Any] = {
        "accounts": [
            {"name": "wrong", "currency": "EUR"},
            {"name": "wrong", "currency": "EUR"},
        ],
        "rate_decks": [{"name": "deck-w", "currency": "USD", "rates_csv": "Code,Rate\n1,x\n"}],
        "customer_trunks": [
            {"name": "w1", "account": "nobody", "rate_deck": "deck-w"},
            {"name": "w2", "account": "wrong", "rate_deck": "deck-w", "vendor_trunks": ["none"]},
        ],
    }
    before = await revision(database)
    bad_rate = await api.post("/v1/apply", json=wrong)
    assert bad_rate.status_code == 422
    assert bad_rate.json()["errors"][0]["path"] == "rate_decks[0].rates_csv.rows[2].Rate"
    del wrong["rate_decks"][0]["rates_csv"]
    answer = await api.post("/v1/apply", json=wrong)
    assert answer.status_code == 422
    assert {one["path"] for one in answer.json()["errors"]} == {
        "accounts[1].name",
        "customer_trunks[0].account",
        "customer_trunks[1].vendor_trunks[0]",
    }
    assert answer.json()["errors"][0]["pointer"].startswith("/")
    del wrong["customer_trunks"][0], wrong["accounts"][1]
    del wrong["customer_trunks"][0]["vendor_trunks"]
    mixed = await api.post("/v1/apply", json=wrong)
    assert [one["path"] for one in mixed.json()["errors"]] == ["customer_trunks[0].rate_deck"]
    assert await revision(database) == before
    assert (await api.get("/v1/accounts?name=wrong")).json()["data"] == []


async def test_settings_that_make_no_sense_are_named(
    api: httpx.AsyncClient, database: str
) -> None:
    before = await revision(database)
    document = {
        "accounts": [{"name": "with-settings", "currency": "USD"}],
        "settings": {"max_call_s": "abc", "reply_to_unknow": True, "webhooks_allow_private": True},
    }
    answer = await api.post("/v1/apply", json=document)
    assert answer.status_code == 422
    errors = {one["path"]: one for one in answer.json()["errors"]}
    assert set(errors) == {"settings.max_call_s", "settings.reply_to_unknow"}
    assert errors["settings.max_call_s"]["pointer"] == "/settings/max_call_s"
    assert errors["settings.max_call_s"]["reason"] == "must be a whole number from 1 to 31536000"
    assert "reply_to_unknown" in errors["settings.reply_to_unknow"]["reason"]
    assert await revision(database) == before


async def test_shape_errors_have_the_same_paths(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/apply", json={"accounts": [{"name": "a", "currency": 5}]})
    assert answer.status_code == 422
    error = answer.json()["errors"][0]
    assert (error["pointer"], error["path"]) == ("/accounts/0/currency", "accounts[0].currency")


async def test_needs_the_scope_of_each_section(api: httpx.AsyncClient) -> None:
    user = (await api.post("/v1/users", json={"name": "few", "scopes": ["accounts:*"]})).json()
    secret = (await api.post("/v1/api_keys", json={"user_id": user["id"]})).json()["secret"]
    mine = {"authorization": f"Bearer {secret}"}
    fine = {"accounts": [{"name": "few", "currency": "USD"}]}
    assert (await api.post("/v1/apply", json=fine, headers=mine)).status_code == 200
    answer = await api.post("/v1/apply", json={"settings": {"a": 1}}, headers=mine)
    assert (answer.status_code, answer.json()["scope"]) == (403, "settings:write")


async def test_others_are_told_of_the_new_revision(
    api: httpx.AsyncClient, nats_url: str, database: str
) -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()

    async def on_message(payload: bytes) -> None:
        heard.put_nowait(decode_config_changed(payload).revision)

    bus = Bus(nats_url, "listener")
    await bus.subscribe_core(CONFIG_CHANGED_SUBJECT, on_message)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bus.run())
        await bus.wait_connected()
        await apply(api, {"accounts": [{"name": "told", "currency": "USD"}]})
        assert await heard.get() == await revision(database)
        running.cancel()
