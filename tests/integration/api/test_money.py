"""Payments, quotes, simulations and live calls through HTTP; the other services are played."""

import asyncio

import asyncpg
import httpx

from proto.signaling.v1.signaling_pb2 import LiveCall, TargetState, VendorState
from services.api.core.pcap import Packet, pcap
from services.api.settings import Settings
from tests.integration.api.conftest import running
from tests.integration.api.others import Others


async def account(api: httpx.AsyncClient, name: str) -> str:
    answer = await api.post("/v1/accounts", json={"name": name, "currency": "USD"})
    return str(answer.json()["id"])


async def test_payment_is_booked_once(api: httpx.AsyncClient, others: Others) -> None:
    body = {"account_id": await account(api, "payer"), "amount": "12.50", "currency": "USD"}
    key = {"idempotency-key": "invoice-7"}
    first = await api.post("/v1/payments", json=body, headers=key)
    assert first.status_code == 201, first.text
    assert (first.json()["amount"], first.json()["balance"]) == ("12.5", "12.50")
    again = await api.post("/v1/payments", json=body, headers=key)
    assert again.json() == first.json()
    assert len(others.payments) == 1
    (booked,) = others.payments.values()
    assert (booked.amount, booked.kind, booked.actor) == ("12.50", "payment", "admin")
    events = (await api.get(f"/v1/audit_events?object_id={first.json()['id']}")).json()["data"]
    assert [one["after"]["amount"] for one in events] == ["12.5"]


async def test_payment_that_makes_no_sense(api: httpx.AsyncClient, others: Others) -> None:
    known = await account(api, "nobody")
    for wrong in ({"amount": "0"}, {"amount": "x"}, {"amount": None}, {"note": "a\nb"}):
        body = {"account_id": known, "amount": "1", "currency": "USD"} | wrong
        assert (await api.post("/v1/payments", json=body)).status_code == 422
    body = {"account_id": "acc_none", "amount": "1", "currency": "USD"}
    assert (await api.post("/v1/payments", json=body)).status_code == 404
    assert others.payments == {}


async def test_ledger_is_listed(api: httpx.AsyncClient, database: str) -> None:
    known = await account(api, "ledger")
    connection = await asyncpg.connect(database)
    await connection.executemany(
        "INSERT INTO money.transfer (key, debit, credit, amount, currency, kind)"
        " VALUES ($1, $2, $3, $4, 'USD', $5)",
        [
            ("pay_in", "cash", known, 10, "payment"),
            ("cal_1/customer", known, "revenue", 3, "call"),
            ("pay_out", known, "cash", 2, "payment"),
        ],
    )
    await connection.execute(
        "INSERT INTO money.account (account_id, balance, leased) VALUES ($1, 5, 2)", known
    )
    await connection.close()
    payments = (await api.get(f"/v1/payments?account_id={known}")).json()["data"]
    assert [(one["id"], one["amount"]) for one in payments] == [
        ("pay_out", "-2"),
        ("pay_in", "10"),
    ]
    assert (await api.get("/v1/payments/pay_in")).json()["amount"] == "10"
    page = (await api.get(f"/v1/accounts/{known}/transfers?limit=2")).json()
    assert [one["kind"] for one in page["data"]] == ["payment", "call"]
    rest = await api.get(f"/v1/accounts/{known}/transfers?after={page['next']}")
    assert [one["key"] for one in rest.json()["data"]] == ["pay_in"]
    shown = (await api.get(f"/v1/accounts/{known}")).json()
    assert (shown["balance"], shown["reserved"]) == ("5", "2")
    refused = await api.delete(f"/v1/accounts/{known}")
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")


async def test_quote_by_inline_rate(api: httpx.AsyncClient) -> None:
    order = {
        "rate": {"price": "0.03", "first_s": 30, "next_s": 6, "connect_fee": "0.01"},
        "durations_s": [0, 1, 31],
        "tax_percent": "10",
        "rounding": {"mode": "up", "digits": 3},
    }
    answer = await api.post("/v1/quotes", json=order)
    assert answer.status_code == 200, answer.text
    assert [
        (one["billed_s"], one["amount"], one["tax"], one["total"])
        for one in answer.json()["quotes"]
    ] == [(0, "0", "0", "0"), (30, "0.025", "0.003", "0.028"), (36, "0.028", "0.003", "0.031")]


async def test_quote_by_deck_and_number(api: httpx.AsyncClient) -> None:
    deck = (await api.post("/v1/rate_decks", json={"name": "Q", "currency": "EUR"})).json()["id"]
    path = f"/v1/rate_decks/{deck}/rates"
    for body in (
        {"prefix": "4", "price": "1"},
        {"prefix": "44", "price": "0.06"},
        {"prefix": "447", "blocked": True},
        {"prefix": "448", "price": "9", "valid_from": "2031-01-01T00:00:00Z"},
    ):
        assert (await api.post(path, json=body)).status_code == 201
    order = {"rate_deck_id": deck, "number": "+44 20 7946-0000", "durations_ms": [60_000]}
    answer = (await api.post("/v1/quotes", json=order)).json()
    assert (answer["matched_rate"]["prefix"], answer["currency"]) == ("44", "EUR")
    assert answer["quotes"][0]["amount"] == "0.06"
    blocked = await api.post("/v1/quotes", json=order | {"number": "447700900000"})
    assert (blocked.json()["code"], blocked.json()["end_reason"]) == (
        "no_rate",
        "destination_blocked",
    )
    later = {"number": "448", "at": "2031-06-01T00:00:00Z"}
    assert (await api.post("/v1/quotes", json=order | {"number": "448"})).json()["quotes"]
    assert (await api.post("/v1/quotes", json=order | later)).json()["quotes"][0]["amount"] == "9"
    unknown = await api.post("/v1/quotes", json=order | {"number": "99"})
    assert unknown.json()["end_reason"] == "no_rate"
    assert (await api.post("/v1/quotes", json={"durations_s": [1]})).status_code == 422


async def test_simulation_asks_routing(api: httpx.AsyncClient, others: Others) -> None:
    party = await account(api, "sim")
    deck = (await api.post("/v1/rate_decks", json={"name": "sim", "currency": "USD"})).json()["id"]
    trunk = {"name": "sim in", "account_id": party, "rate_deck_id": deck}
    made = (await api.post("/v1/customer_trunks", json=trunk)).json()
    order = {"customer_trunk": "sim in", "caller": "1", "called": "+4420"}
    answer = await api.post("/v1/simulations", json=order | {"at": "2030-01-01T00:00:00Z"})
    assert answer.status_code == 200, answer.text
    assert others.plans[0].customer_trunk_id == made["id"]
    assert others.plans[0].at_unix_ms == 1_893_456_000_000
    plan = answer.json()
    assert plan["refused"] is None
    assert plan["explanation"] == {"because": "one vendor"}
    assert plan["candidates"][0]["target"] == "192.0.2.9:5060;udp"
    unknown = await api.post("/v1/simulations", json=order | {"customer_trunk": "none"})
    assert unknown.status_code == 404


async def test_simulation_with_routes_a_routing_server_would_offer(
    api: httpx.AsyncClient, others: Others
) -> None:
    party = await account(api, "offers")
    deck = await api.post("/v1/rate_decks", json={"name": "offers", "currency": "USD"})
    trunk = {"name": "offers in", "account_id": party, "rate_deck_id": deck.json()["id"]}
    await api.post("/v1/customer_trunks", json=trunk)
    offered = [
        {"vendor_trunk": "north", "called": "+4420", "caller": "", "max_call_s": 60},
        {"vendor_trunk": "south"},
    ]
    order = {"customer_trunk": "offers in", "called": "+4420", "offered": offered}
    answer = await api.post("/v1/simulations", json=order)
    assert answer.status_code == 200, answer.text
    first, second = others.plans[-1].offered
    assert (first.vendor, first.called, first.max_call_s) == ("north", "+4420", 60)
    assert (first.HasField("caller"), second.HasField("caller")) == (True, False)
    wrong = order | {"offered": [{"vendor_trunk": ""}]}
    assert (await api.post("/v1/simulations", json=wrong)).status_code == 422


async def test_vendors_as_signaling_sees_them(api: httpx.AsyncClient, others: Others) -> None:
    target = TargetState(
        target="192.0.2.9:5060;udp", state="backoff", since_unix_ms=1_893_456_000_000,
        why="503 with Retry-After: 30", until_unix_ms=1_893_456_030_000,
    )  # fmt: skip
    others.vendors = [
        VendorState(vendor_trunk_id="vtr_2", name="south", state="unknown", node="n1"),
        VendorState(
            vendor_trunk_id="vtr_1", name="north", state="backoff", calls=2, targets=[target]
        ),
    ]
    north, south = (await api.get("/v1/vendor_states")).json()["data"]
    assert (south["name"], south["since"], south["targets"]) == ("south", None, [])
    assert (north["state"], north["calls"]) == ("backoff", 2)
    assert north["targets"] == [
        {
            "target": "192.0.2.9:5060;udp",
            "state": "backoff",
            "since": "2030-01-01T00:00:00Z",
            "why": "503 with Retry-After: 30",
            "until": "2030-01-01T00:00:30Z",
        }
    ]


async def test_live_calls(api: httpx.AsyncClient, others: Others) -> None:
    for number in range(3):
        call_id = f"cal_{number}"
        others.calls[call_id] = LiveCall(call_id=call_id, state="answered", caller="1")
    first = (await api.get("/v1/calls?limit=2")).json()
    assert ([one["call_id"] for one in first["data"]], first["total"]) == (["cal_0", "cal_1"], 3)
    rest = (await api.get(f"/v1/calls?limit=2&after={first['next']}")).json()
    assert ([one["call_id"] for one in rest["data"]], rest["next"]) == (["cal_2"], None)
    assert (await api.get("/v1/calls/cal_1")).json()["state"] == "answered"
    ladder = (await api.get("/v1/calls/cal_1/ladder")).json()
    assert ladder["steps"][0]["raw"] == "INVITE sip:1\r\n"
    capture = await api.get("/v1/calls/cal_1/ladder.pcap")
    assert capture.headers["content-type"] == "application/vnd.tcpdump.pcap"
    packet = Packet(
        1_900_000_000_000_123, ("192.0.2.1", 5060), ("2001:db8::1", 5070), b"INVITE sip:1\r\n"
    )
    assert capture.content == pcap([packet])
    assert (await api.post("/v1/calls/cal_1/hangup")).status_code == 204
    assert (await api.delete("/v1/calls/cal_2")).status_code == 204
    assert others.hung_up == ["cal_1", "cal_2"]
    for path in ("/v1/calls/cal_1", "/v1/calls/cal_1/ladder", "/v1/calls/cal_1/ladder.pcap"):
        assert (await api.get(path)).status_code == 404
    assert (await api.delete("/v1/calls/cal_1")).status_code == 404
    events = (await api.get("/v1/audit_events?object_type=call")).json()["data"]
    assert [one["object_id"] for one in events] == ["cal_2", "cal_1"]


async def test_health_names_every_part(api: httpx.AsyncClient) -> None:
    away, names = {"nats"}, set[str]()
    async with asyncio.timeout(20):
        while away == {"nats"}:  # the API is ready before its bus is
            parts = (await api.get("/v1/health")).json()["parts"]
            away = {name for name, part in parts.items() if part["status"] != "ok"}
            names = set(parts)
    assert (names, away) == (
        {"postgres", "clickhouse", "nats", "signaling", "routing", "rating"}, set()
    )  # fmt: skip
    nobody = {"authorization": ""}
    assert (await api.get("/livez", headers=nobody)).json() == {"alive": True}
    assert (await api.get("/readyz", headers=nobody)).status_code == 200


async def test_what_is_away_is_named_and_the_rest_works(settings: Settings) -> None:
    nowhere = settings.model_copy(
        update={
            "rating_address": "127.0.0.1:1",
            "signaling_address": "127.0.0.1:1",
            "clickhouse_dsn": "clickhouse://127.0.0.1:1/x",
        }
    )
    async with running(nowhere) as (_, api):
        known = await account(api, "alone")
        body = {"account_id": known, "amount": "1", "currency": "USD"}
        for answer, what in (
            (await api.post("/v1/payments", json=body), "rating"),
            (await api.get("/v1/calls"), "signaling"),
            (await api.get("/v1/cdrs"), "record database"),
        ):
            assert (answer.status_code, answer.json()["what"]) == (503, what)
            assert answer.headers["retry-after"]
        health = await api.get("/v1/health")
        assert health.status_code == 503
        down = {name for name, one in health.json()["parts"].items() if one["status"] == "down"}
        assert down == {"rating", "signaling", "clickhouse"}
