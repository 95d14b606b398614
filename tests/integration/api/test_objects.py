"""Accounts, decks, trunks, users and keys through HTTP, on real servers."""

import asyncio

import asyncpg
import httpx
import pytest

from services.api.core.setting import SETTINGS
from services.api.entrypoints.http import schemas

PROBLEM = "application/problem+json"


async def account(api: httpx.AsyncClient, name: str, **fields: object) -> dict[str, object]:
    body = {"name": name, "currency": "USD", **fields}
    answer = await api.post("/v1/accounts", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


async def deck(api: httpx.AsyncClient, name: str, currency: str = "USD") -> dict[str, object]:
    answer = await api.post("/v1/rate_decks", json={"name": name, "currency": currency})
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


async def trunk_body(api: httpx.AsyncClient, name: str) -> dict[str, object]:
    party, prices = await account(api, f"{name} party"), await deck(api, f"{name} deck")
    return {"name": name, "account_id": party["id"], "rate_deck_id": prices["id"]}


async def test_account_lives_and_dies(api: httpx.AsyncClient) -> None:
    made = await account(api, "Alpha", credit_limit="12.50")
    schemas.Account.model_validate(made)
    assert made["credit_limit"] == "12.5"
    assert made["balance"] == made["reserved"] == "0"
    path = f"/v1/accounts/{made['id']}"
    patched = await api.patch(path, json={"credit_limit": "100", "enabled": False})
    assert patched.json()["credit_limit"] == "100"
    assert patched.json()["enabled"] is False
    assert (await api.get(path)).json() == patched.json()
    assert (await api.delete(path)).status_code == 204
    gone = await api.get(path)
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert gone.headers["content-type"] == PROBLEM


async def test_every_kind_answers_in_its_documented_shape(api: httpx.AsyncClient) -> None:
    body = await trunk_body(api, "Shapes")
    customer = await api.post(
        "/v1/customer_trunks",
        json={**body, "addresses": ["192.0.2.77:5062", "[2001:DB8::1]:5060"]},
    )
    schemas.CustomerTrunk.model_validate(customer.json())
    assert customer.json()["addresses"] == ["192.0.2.77:5062", "[2001:db8::1]:5060"]
    vendor = await api.post("/v1/vendor_trunks", json={**body, "host": "Gw.Example.NET"})
    schemas.VendorTrunk.model_validate(vendor.json())
    assert vendor.json()["host"] == "gw.example.net"
    prices = await api.get(f"/v1/rate_decks/{body['rate_deck_id']}")
    schemas.RateDeck.model_validate(prices.json())


async def test_name_taken_names_the_owner(api: httpx.AsyncClient) -> None:
    made = await account(api, "Taken")
    answer = await api.post("/v1/accounts", json={"name": "Taken", "currency": "EUR"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
    assert answer.json()["owner"] == made["id"]
    assert answer.json()["errors"][0]["pointer"] == "/name"


async def test_address_taken_names_the_trunk(api: httpx.AsyncClient) -> None:
    first, second = await trunk_body(api, "First"), await trunk_body(api, "Second")
    address = {"addresses": ["192.0.2.10"]}
    assert (await api.post("/v1/customer_trunks", json=first | address)).status_code == 201
    answer = await api.post("/v1/customer_trunks", json=second | address)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
    assert "First" in answer.json()["owner"]
    assert "192.0.2.10" in answer.json()["detail"]


async def test_what_is_referred_to_cannot_be_removed(api: httpx.AsyncClient) -> None:
    body = await trunk_body(api, "Holder")
    vendor = (await api.post("/v1/vendor_trunks", json={**body, "host": "192.0.2.5"})).json()
    customer = {**body, "vendor_trunk_ids": [vendor["id"]]}
    made = (await api.post("/v1/customer_trunks", json=customer)).json()
    assert made["vendor_trunk_ids"] == [vendor["id"]]
    for path in ("accounts", "rate_decks"):
        key = "account_id" if path == "accounts" else "rate_deck_id"
        answer = await api.delete(f"/v1/{path}/{body[key]}")
        assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    # Removing the only vendor a customer may use would open all of them to it.
    answer = await api.delete(f"/v1/vendor_trunks/{vendor['id']}")
    assert answer.status_code == 409
    assert "Holder" in answer.json()["used_by"]


async def test_wrong_reference_and_currency(api: httpx.AsyncClient) -> None:
    body = await trunk_body(api, "Euro")
    euros = await deck(api, "euros", "EUR")
    answer = await api.post("/v1/vendor_trunks", json={**body, "host": "h", "account_id": "acc_x"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/account_id")
    mixed = {**body, "host": "h", "rate_deck_id": euros["id"]}
    answer = await api.post("/v1/vendor_trunks", json=mixed)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/rate_deck_id")


async def test_if_match_refuses_what_changed_meanwhile(api: httpx.AsyncClient) -> None:
    made = await account(api, "Race")
    path = f"/v1/accounts/{made['id']}"
    tag = (await api.get(path)).headers["etag"]
    first = await api.patch(path, json={"reserve_s": 30}, headers={"if-match": tag})
    assert first.status_code == 200
    second = await api.patch(path, json={"reserve_s": 90}, headers={"if-match": tag})
    assert (second.status_code, second.json()["code"]) == (412, "precondition_failed")
    assert second.headers["etag"] == first.headers["etag"]
    removed = await api.delete(path, headers={"if-match": tag})
    assert removed.status_code == 412


async def test_pages_follow_the_cursor_to_the_end(api: httpx.AsyncClient) -> None:
    made = [(await account(api, f"page {number}", currency="CHF"))["id"] for number in range(5)]
    seen: list[object] = []
    url: str | None = "/v1/accounts?limit=2&currency=CHF"
    while url is not None:
        answer = await api.get(url)
        seen += [one["id"] for one in answer.json()["data"]]
        assert (answer.json()["next"] is None) == ("next" not in answer.links)
        url = answer.links.get("next", {}).get("url")
    assert seen == made


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x\r\ny", "currency": "USD"}, "/name"),
        ({"name": "x\x00", "currency": "USD"}, "/name"),
        ({"name": "", "currency": "USD"}, "/name"),
        ({"name": "a", "currency": "usd"}, "/currency"),
        ({"name": "a", "currency": "USD", "credit_limit": "-1"}, "/credit_limit"),
        ({"name": "a", "currency": "USD", "credit_limit": "NaN"}, "/credit_limit"),
        ({"name": "a", "currency": "USD", "credit_limit": "1e99"}, "/credit_limit"),
        ({"name": "a", "currency": "USD", "colour": "red"}, "/colour"),
        ({"currency": "USD"}, "/name"),
    ],
)
async def test_bad_values_are_named(
    api: httpx.AsyncClient, body: dict[str, object], pointer: str
) -> None:
    answer = await api.post("/v1/accounts", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


async def test_errors_of_the_framework_are_problems_too(api: httpx.AsyncClient) -> None:
    for method, path, status, code in (
        ("GET", "/v1/nothing", 404, "no_such_path"),
        ("PUT", "/v1/accounts", 405, "method_not_allowed"),
        ("GET", "/v1/accounts?limit=0", 422, "invalid"),
        ("GET", "/v1/accounts?name=%00", 422, "invalid"),
        ("GET", "/v1/accounts?name=%ff", 422, "invalid"),
        ("GET", "/v1/accounts?after=rubbish", 422, "invalid"),
    ):
        answer = await api.request(method, path)
        assert (path, answer.status_code, answer.json()["code"]) == (path, status, code)
        assert answer.headers["content-type"] == PROBLEM
    broken = await api.post(
        "/v1/accounts", content=b"{", headers={"content-type": "application/json"}
    )
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed")
    large = await api.post("/v1/accounts", content=b" " * 1_000_001)
    assert (large.status_code, large.json()["code"]) == (413, "too_large")


async def test_keys_open_what_their_scopes_allow(api: httpx.AsyncClient) -> None:
    user = (
        await api.post("/v1/users", json={"name": "Reader", "scopes": ["accounts:read"]})
    ).json()
    made = await api.post("/v1/api_keys", json={"user_id": user["id"]})
    schemas.ApiKey.model_validate(made.json())
    secret = made.json()["secret"]
    assert secret.startswith("tdm_")
    mine = {"authorization": f"Bearer {secret}"}
    assert (await api.get("/v1/accounts", headers=mine)).status_code == 200
    denied = await api.post("/v1/accounts", json={}, headers=mine)
    assert denied.status_code in (403, 422)
    denied = await api.get("/v1/cdrs", headers=mine)
    assert (denied.status_code, denied.json()["scope"]) == (403, "cdrs:read")
    listed = (await api.get(f"/v1/api_keys?user_id={user['id']}")).json()["data"]
    assert [one["last_four"] for one in listed] == [secret[-4:]]
    assert secret not in (await api.get("/v1/audit_events")).text
    assert (await api.delete(f"/v1/api_keys/{made.json()['id']}")).json()["revoked_at"]
    revoked = await api.get("/v1/accounts", headers=mine)
    assert (revoked.status_code, revoked.json()["code"]) == (401, "unauthenticated")


async def test_nobody_hands_on_more_than_he_holds(api: httpx.AsyncClient) -> None:
    user = (await api.post("/v1/users", json={"name": "Clerk", "scopes": ["users:*"]})).json()
    secret = (await api.post("/v1/api_keys", json={"user_id": user["id"]})).json()["secret"]
    mine = {"authorization": f"Bearer {secret}"}
    body = {"name": "Root", "scopes": ["*"]}
    assert (await api.post("/v1/users", json=body, headers=mine)).status_code == 403
    path = f"/v1/users/{user['id']}"
    assert (await api.patch(path, json={"scopes": ["*"]}, headers=mine)).status_code == 403


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer tdm_x", "Basic abc", "Bearer aaa"])
async def test_no_key_no_entrance(api: httpx.AsyncClient, header: str) -> None:
    answer = await api.get("/v1/accounts", headers={"authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_every_write_is_audited(api: httpx.AsyncClient) -> None:
    made = await account(api, "Watched")
    path = f"/v1/accounts/{made['id']}"
    await api.patch(path, json={"reserve_s": 5})
    await api.patch(path, json={"reserve_s": 5})
    await api.delete(path)
    events = (await api.get(f"/v1/audit_events?object_id={made['id']}")).json()["data"]
    assert [one["action"] for one in events] == ["delete", "update", "create"]
    assert events[1]["before"]["reserve_s"] == 60
    assert events[1]["after"]["reserve_s"] == 5
    assert {one["actor"] for one in events} == {"admin"}


async def test_idempotency_key_answers_once(api: httpx.AsyncClient) -> None:
    key = {"idempotency-key": "once"}
    body = {"name": "Once", "currency": "USD"}
    first = await api.post("/v1/accounts", json=body, headers=key)
    again = await api.post("/v1/accounts", json=body, headers=key)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["etag"] == first.headers["etag"]
    other = await api.post("/v1/accounts", json=body | {"name": "Other"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")


async def test_concurrent_duplicates_create_one(api: httpx.AsyncClient) -> None:
    key = {"idempotency-key": "crowd"}
    body = {"name": "Crowd", "scopes": []}
    answers = await asyncio.gather(
        *(api.post("/v1/users", json=body, headers=key) for _ in range(10))
    )
    codes = sorted({one.status_code for one in answers})
    assert codes in ([201], [201, 409])
    assert {one.json()["code"] for one in answers if one.status_code == 409} <= {
        "idempotency_in_progress"
    }
    named = (await api.get("/v1/users?name=Crowd")).json()["data"]
    assert len(named) == 1


async def test_settings(api: httpx.AsyncClient) -> None:
    path = "/v1/settings/reply_to_unknown"
    assert (await api.put(path, json={"value": True})).json()["value"] is True
    shown = (await api.get(path)).json()
    assert (shown["value"], shown["default"], shown["is_set"]) == (True, False, True)
    assert (await api.put(path, json={"value": {"a\n": 1}})).status_code == 422
    assert (await api.delete(path)).status_code == 204
    shown = (await api.get(path)).json()
    assert (shown["value"], shown["is_set"]) == (False, False)
    assert (await api.delete(path)).status_code == 204  # the default holds already


@pytest.mark.parametrize(
    ("name", "value", "where", "reason"),
    [
        ("max_call_s", "abc", "value", "must be a whole number from 1 to 31536000"),
        ("max_call_s", 0, "value", "must be a whole number from 1 to 31536000"),
        ("reply_to_unknown", "true", "value", "must be true or false"),
        ("sip_realm", 'a"b', "value", "must match"),
        ("max_cal_s", 600, "name", "there is no setting 'max_cal_s', only "),
    ],
)
async def test_settings_that_make_no_sense_are_refused(
    api: httpx.AsyncClient, name: str, value: object, where: str, reason: str
) -> None:
    answer = await api.put(f"/v1/settings/{name}", json={"value": value})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["path"], error["pointer"]) == (where, f"/{where}")
    assert reason in error["reason"]
    listed = (await api.get("/v1/settings")).json()["data"]
    assert not any(one["is_set"] for one in listed)


async def test_settings_are_listed_with_what_they_mean(api: httpx.AsyncClient) -> None:
    await api.put("/v1/settings/max_call_s", json={"value": 600})
    first = (await api.get("/v1/settings?limit=2")).json()
    rest = (await api.get(f"/v1/settings?after={first['next']}")).json()
    listed = {one["name"]: one for one in first["data"] + rest["data"]}
    assert (len(first["data"]), list(listed), rest["next"]) == (2, sorted(SETTINGS), None)
    cap = listed["max_call_s"]
    assert (cap["value"], cap["default"], cap["minimum"], cap["maximum"]) == (
        600, 14_400, 1, 31_536_000
    )  # fmt: skip
    assert all(one["meaning"] for one in listed.values())
    await api.delete("/v1/settings/max_call_s")


async def test_a_setting_nobody_knows_can_be_seen_and_removed(
    api: httpx.AsyncClient, database: str
) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(
        """INSERT INTO config.setting VALUES ('old', '"x"'), ('max_call_s', '600.0')"""
    )
    await connection.close()
    assert (await api.get("/v1/settings/old")).json()["value"] == "x"
    assert "old" in [one["name"] for one in (await api.get("/v1/settings")).json()["data"]]
    assert (await api.delete("/v1/settings/old")).status_code == 204
    for answer in (await api.get("/v1/settings/old"), await api.delete("/v1/settings/old")):
        assert answer.status_code == 404
    # 600.0 is not what its reader takes: writing 600 is a change.
    await api.put("/v1/settings/max_call_s", json={"value": 600})
    connection = await asyncpg.connect(database)
    stored = await connection.fetchval("SELECT value::text FROM config.setting")
    await connection.close()
    assert stored == "600"
    await api.delete("/v1/settings/max_call_s")


async def test_description_is_complete(api: httpx.AsyncClient) -> None:
    described = (await api.get("/openapi.json")).json()
    assert described["openapi"].startswith("3.1")
    assert "/v1/rate_decks/{deck_id}/imports" in described["paths"]
    assert described["paths"]["/v1/accounts"]["post"]["security"]
    assert (await api.get("/docs")).status_code == 200


async def test_a_vendor_may_be_called_over_tls(api: httpx.AsyncClient) -> None:
    body = {**await trunk_body(api, "Secure"), "host": "sbc.example.com", "port": 5061}
    options = {"tls": {"server_name": "sip.example.com", "least_version": "1.3"}}
    made = await api.post("/v1/vendor_trunks", json={**body, "transport": "tls", "sip": options})
    assert (made.status_code, made.json()["transport"]) == (201, "tls")
    assert made.json()["sip"] == options
    for transport in ("ws", "sctp"):  # nobody can be called by WebSocket
        refused = await api.post("/v1/vendor_trunks", json={**body, "transport": transport})
        assert refused.status_code == 422


async def test_sip_options_are_checked_by_path_and_replaced_whole(api: httpx.AsyncClient) -> None:
    body = {**await trunk_body(api, "Options"), "host": "192.0.2.9"}
    options = {"timeouts": {"progress_ms": 7000}}
    vendor = (await api.post("/v1/vendor_trunks", json={**body, "sip": options})).json()
    assert vendor["sip"] == options
    path = f"/v1/vendor_trunks/{vendor['id']}"
    assert (await api.patch(path, json={"port": 5090})).json()["sip"] == options
    wrong = await api.patch(path, json={"sip": {"timeouts": {"progress_ms": -1}}})
    assert wrong.status_code == 422
    assert wrong.json()["errors"] == [
        {
            "pointer": "/sip/timeouts/progress_ms",
            "path": "sip.timeouts.progress_ms",
            "in": "body",
            "code": "invalid",
            "reason": "must be a whole number from 0 to 600000, not -1",
        }
    ]
    many = {"codes": {"hunt_on": [404, 99]}, "tls": {"verify": "no"}, "prob": {}}
    wrong = await api.patch(path, json={"sip": many, "port": 0})
    assert {one["path"]: one["reason"] for one in wrong.json()["errors"]} == {
        "port": wrong.json()["errors"][0]["reason"],
        "sip.codes.hunt_on[1]": "must be a whole number from 300 to 699, not 99",
        "sip.tls.verify": "must be true or false, not 'no'",
        "sip.prob": "is no option here; did you mean probe?",
    }
    wrong = await api.patch(
        path, json={"host": "registered:alice", "sip": {"dns": {"lookup": "srv"}}}
    )
    assert wrong.json()["errors"][0]["path"] == "sip.dns.lookup"
    wrong = await api.patch(path, json={"sip": "usual"})
    assert wrong.json()["errors"][0]["reason"] == "must be an object with options, not 'usual'"
    assert (await api.patch(path, json={"sip": {}})).json()["sip"] == {}
