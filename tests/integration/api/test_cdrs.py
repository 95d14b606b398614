"""Call detail records through HTTP, from a real ClickHouse."""

import csv
import datetime as dt
import io
from decimal import Decimal

import httpx
import pytest
from clickhouse_driver import Client

from services.common.ids import uuid7

START = dt.datetime(2030, 5, 1, 12, tzinfo=dt.UTC)


def call_id(number: int) -> str:
    at = START + dt.timedelta(minutes=number)
    return "cal_" + uuid7(int(at.timestamp() * 1000), bytes([number]) * 10)


@pytest.fixture
def records(clickhouse_dsn: str) -> None:
    """Ten calls, a minute apart; every second one answered; each written twice."""
    rows = [
        {
            "call_id": call_id(number),
            "version": version,
            "invited_at": START + dt.timedelta(minutes=number),
            "answered_at": START + dt.timedelta(minutes=number, seconds=2) if number % 2 else None,
            "ended_at": START + dt.timedelta(minutes=number, seconds=9),
            "rated_at": START + dt.timedelta(minutes=number, seconds=10),
            "talk_ms": 7000 * (number % 2),
            "customer_account_id": "acc_1",
            "vendor_account_id": f"acc_{number % 3 + 2}",
            "caller": "=HYPERLINK(1)",
            "called_billed": f"44{number}",
            "end_reason": "normal" if number % 2 else "busy",
            "price": Decimal("0.0125") * version,
            "attempts": '[{"vendor_trunk_id":"vtr_1"}]',
            "explanation": '{"because":"x"}',
            "call_count": 1 if number % 2 else 100,
        }
        for version in (1, 2)
        for number in range(10)
    ]
    with Client.from_url(clickhouse_dsn) as client:
        client.execute("TRUNCATE TABLE cdr")
        names = ", ".join(rows[0])
        client.execute(f"INSERT INTO cdr ({names}) VALUES", rows)


@pytest.mark.usefixtures("records")
async def test_pages_hold_each_call_once_newest_first(api: httpx.AsyncClient) -> None:
    seen: list[str] = []
    url: str | None = "/v1/cdrs?limit=3"
    while url is not None:
        answer = await api.get(url)
        assert answer.status_code == 200, answer.text
        seen += [one["call_id"] for one in answer.json()["data"]]
        assert all(one["price"] == "0.025" for one in answer.json()["data"])
        url = answer.links.get("next", {}).get("url")
    assert seen == [call_id(number) for number in reversed(range(10))]


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("answered=true", [9, 7, 5, 3, 1]),
        ("answered=false&since=2030-05-01T12:04:00Z", [8, 6, 4]),
        ("till=2030-05-01T12:02:00Z", [1, 0]),
        ("called=445", [5]),
        ("account_id=acc_2", [9, 6, 3, 0]),
        ("account_id=acc_1&end_reason=busy&called=448", [8]),
        ("end_reason=' OR 1 --", []),
    ],
)
async def test_filters(api: httpx.AsyncClient, query: str, numbers: list[int]) -> None:
    answer = await api.get(f"/v1/cdrs?{query}")
    assert [one["call_id"] for one in answer.json()["data"]] == [call_id(one) for one in numbers]


@pytest.mark.usefixtures("records")
async def test_totals_count_every_call_of_a_sum(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/cdr_totals")).json() == {
        "calls": 505,
        "talk_ms": 35_000,
        "by_end_reason": [
            {"end_reason": "busy", "calls": 500, "talk_ms": 0},
            {"end_reason": "normal", "calls": 5, "talk_ms": 35_000},
        ],
    }
    chosen = (await api.get("/v1/cdr_totals?till=2030-05-01T12:01:00Z&answered=false")).json()
    assert (chosen["calls"], len(chosen["by_end_reason"])) == (100, 1)
    (row,) = (await api.get("/v1/cdrs?till=2030-05-01T12:01:00Z")).json()["data"]
    assert row["call_count"] == 100


@pytest.mark.usefixtures("records")
async def test_one_record_in_full(api: httpx.AsyncClient) -> None:
    record = (await api.get(f"/v1/cdrs/{call_id(1)}")).json()
    assert record["attempts"] == [{"vendor_trunk_id": "vtr_1"}]
    assert record["explanation"] == {"because": "x"}
    assert record["media_caller"] is None
    assert record["invited_at"] == "2030-05-01T12:01:00Z"
    missing = await api.get("/v1/cdrs/cal_none")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@pytest.mark.usefixtures("records")
async def test_export_is_csv_that_no_spreadsheet_executes(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/cdrs.csv?columns=call_id,caller,price&answered=true")
    assert answer.headers["content-type"].startswith("text/csv")
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["call_id", "caller", "price"]
    assert rows[0] == [call_id(9), "'=HYPERLINK(1)", "0.025"]
    assert len(rows) == 5
    assert (await api.get("/v1/cdrs.csv?columns=password")).status_code == 422
    whole = await api.get("/v1/cdrs.csv")
    assert len(list(csv.DictReader(io.StringIO(whole.text)))) == 10
