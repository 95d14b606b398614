"""Rates and imports through HTTP, on a real Postgres."""

import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import asyncpg
import httpx
import pytest

from services.api.entrypoints.http import schemas

CSV = {"content-type": "text/csv"}


async def deck(api: httpx.AsyncClient, name: str) -> str:
    answer = await api.post("/v1/rate_decks", json={"name": name, "currency": "USD"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def bring(
    api: httpx.AsyncClient, deck_id: str, text: str, **query: object
) -> dict[str, object]:
    path = f"/v1/rate_decks/{deck_id}/imports"
    params = {name: str(value).lower() for name, value in query.items()}
    answer = await api.post(path, content=text.encode(), params=params, headers=CSV)
    result: dict[str, object] = answer.json()
    return result | {"status_code": answer.status_code}


async def rows(api: httpx.AsyncClient, deck_id: str, query: str = "") -> list[dict[str, object]]:
    found: list[dict[str, object]] = (
        await api.get(f"/v1/rate_decks/{deck_id}/rates?{query}")
    ).json()["data"]
    return found


def memory(name: str) -> int:
    """A size of this process, in kilobytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def counts(result: dict[str, object]) -> tuple[object, ...]:
    return tuple(result[name] for name in ("added", "changed", "unchanged", "ended"))


async def test_sheet_of_a_vendor_is_understood(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Aliases")
    sheet = (
        "\ufeffDial Code,Destination,Rate (USD),Billing increment,Effective Date,Status,Comment\n"
        "44,UK,0.01,60/60,2020-01-01,Open,x\r\n"
        '"447","UK, Mobile",0.025,1/1,2031-05-01,Open,\n'
        "4470,UK Personal,,1/1,,Blocked,\n"
    ).replace("Rate (USD)", "Rate")
    result = await bring(api, deck_id, sheet)
    assert result["status_code"] == 200, result
    assert counts(result) == (3, 0, 0, 0)
    assert result["ignored_columns"] == ["Comment"]
    assert result["version"] == 2
    uk, mobile, personal = await rows(api, deck_id)
    schemas.Rate.model_validate(uk)
    assert (uk["first_s"], uk["next_s"], uk["valid_from"]) == (60, 60, "2020-01-01T00:00:00Z")
    assert (mobile["destination"], mobile["next_price"]) == ("UK, Mobile", "0.025")
    assert mobile["valid_from"] == "2031-05-01T00:00:00Z"
    assert (personal["blocked"], personal["valid_from"], personal["valid_till"]) == (
        True,
        None,
        None,
    )


async def test_a_bad_row_stops_everything_and_is_named(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Abort")
    sheet = "Code,Rate\n1,0.01\n2,cheap\nx3,0.01\n4,0.01\n1,0.02\n"
    result = await bring(api, deck_id, sheet)
    assert (result["status_code"], result["code"]) == (422, "import_failed")
    assert result["errors"] == [
        {
            "row": 3,
            "column": "Rate",
            "reason": "'cheap' is not a decimal number",
            "code": "bad_row",
        },
        {"row": 4, "column": "Code", "reason": "'x3' is not one dial code", "code": "bad_row"},
        {
            "row": 6,
            "column": "prefix",
            "reason": "repeats the code and date of row 2",
            "code": "bad_row",
        },
    ]
    assert await rows(api, deck_id) == []
    assert (await api.get(f"/v1/rate_decks/{deck_id}")).json()["version"] == 1


async def test_bad_rows_can_be_skipped(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Skip")
    result = await bring(api, deck_id, "Code;Rate\n1;0,01\n2;cheap\n", on_error="skip")
    assert (result["status_code"], result["error_count"], result["applied"]) == (200, 1, True)
    assert [(one["prefix"], one["next_price"]) for one in await rows(api, deck_id)] == [
        ("1", "0.01")
    ]


async def test_dry_run_tells_and_does_nothing(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Dry")
    result = await bring(api, deck_id, "Code,Rate\n1,0.01\n", dry_run=True)
    assert (counts(result), result["applied"], result["version"]) == ((1, 0, 0, 0), False, 1)
    assert await rows(api, deck_id) == []


async def test_same_sheet_twice_changes_nothing(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Twice")
    sheet = "Code,Rate,Effective date\n1,0.01,\n2,0.02,2020-01-01\n3,0.03,2031-01-01\n"
    assert counts(await bring(api, deck_id, sheet, mode="full")) == (3, 0, 0, 0)
    before = await rows(api, deck_id)
    again = await bring(api, deck_id, sheet, mode="full")
    assert (counts(again), again["version"]) == ((0, 0, 3, 0), 2)
    assert await rows(api, deck_id) == before


async def test_full_sheet_ends_what_it_does_not_name(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Full")
    await bring(api, deck_id, "Code,Rate,Effective date\n1,0.01,\n2,0.02,\n2,0.05,2031-01-01\n")
    result = await bring(api, deck_id, "Code,Rate\n2,0.03\n", mode="full")
    assert counts(result) == (0, 1, 0, 2)
    one, old, new = await rows(api, deck_id)
    assert one["valid_till"] is not None
    assert old["valid_till"] == new["valid_from"]
    assert (new["next_price"], new["valid_till"]) == ("0.03", None)


async def test_a_scheduled_price_ends_the_one_before_it(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Scheduled")
    await bring(api, deck_id, "Code,Rate\n1,0.01\n")
    result = await bring(api, deck_id, "Code,Rate,Effective date\n1,0.02,2031-01-01\n")
    assert counts(result) == (0, 1, 0, 0)
    old, new = await rows(api, deck_id)
    assert old["valid_till"] == new["valid_from"] == "2031-01-01T00:00:00Z"
    # The price of today, told again, leaves the announced one alone.
    again = await bring(api, deck_id, "Code,Rate\n1,0.01\n")
    assert counts(again) == (0, 0, 1, 0)


async def test_delete_sheet_ends_its_codes(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Delete")
    await bring(api, deck_id, "Code,Rate\n1,0.01\n2,0.02\n")
    failed = await bring(api, deck_id, "Prefix\n1\n9\n", mode="delete")
    assert (failed["status_code"], failed["error_count"]) == (422, 1)
    done = await bring(api, deck_id, "Prefix\n1\n", mode="delete")
    assert counts(done) == (0, 0, 0, 1)
    assert [one["valid_till"] is None for one in await rows(api, deck_id)] == [False, True]


@pytest.mark.parametrize(
    "sheet", ["", "\n\n", "Name,Rate\nx,1\n", "Code\n1\n", "Code,Prefix,Rate\n1,1,1\n", '"Code']
)
async def test_no_sheet_at_all(api: httpx.AsyncClient, sheet: str) -> None:
    deck_id = await deck(api, f"None {sheet!r}")
    result = await bring(api, deck_id, sheet)
    assert (result["status_code"], result["code"]) == (422, "invalid")


async def test_text_in_another_encoding_is_refused(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Latin")
    path = f"/v1/rate_decks/{deck_id}/imports"
    answer = await api.post(path, content=b"Code,Rate,Destination\n1,1,Espa\xf1a\n", headers=CSV)
    assert answer.status_code == 422
    assert "UTF-8" in answer.json()["detail"]


async def test_one_rate_by_hand(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Hand")
    path = f"/v1/rate_decks/{deck_id}/rates"
    made = await api.post(path, json={"prefix": "49", "price": "0.02", "first_s": 30})
    assert made.status_code == 201, made.text
    rate = made.json()
    schemas.Rate.model_validate(rate)
    fixed = await api.patch(f"{path}/{rate['id']}", json={"next_price": "0.03"})
    assert (fixed.json()["first_price"], fixed.json()["next_price"]) == ("0.02", "0.03")
    ended = await api.post(f"{path}/{rate['id']}/end", json={"at": "2031-01-01T00:00:00Z"})
    assert ended.json()["valid_till"] == "2031-01-01T00:00:00Z"
    assert (await api.delete(f"{path}/{rate['id']}")).status_code == 204
    assert (await api.get(f"{path}/{rate['id']}")).status_code == 404
    assert (await api.get(f"/v1/rate_decks/{deck_id}")).json()["version"] == 5


async def test_rates_are_searched(api: httpx.AsyncClient) -> None:
    deck_id = await deck(api, "Search")
    await bring(
        api, deck_id, "Code,Destination,Rate\n*,World,1\n4,Euro,1\n44,UK,1\n447,Mobile,1\n"
    )

    async def found(query: str) -> list[object]:
        return [one["prefix"] for one in await rows(api, deck_id, query)]

    assert await found("prefix=44") == ["44", "447"]
    assert await found("number=%2B44800") == ["", "4", "44"]
    assert await found("destination=mob") == ["447"]
    first = (await api.get(f"/v1/rate_decks/{deck_id}/rates?limit=3")).json()
    assert await found(f"after={first['next']}") == ["447"]


async def test_many_rates_need_little_memory(api: httpx.AsyncClient, database: str) -> None:
    deck_id = await deck(api, "Many")
    count = 200_000

    def lines() -> Iterable[bytes]:
        yield b"Code,Destination,Rate,Increments\n"
        for start in range(0, count, 500):
            yield b"".join(
                b"%d,Destination %d,0.0%d,60/60\n"
                % (1_000_000 + number, number, number % 9999 + 1)
                for number in range(start, start + 500)
            )

    async def body() -> AsyncIterator[bytes]:
        for chunk in lines():
            yield chunk

    before = memory("VmRSS")
    forget_peak()
    path = f"/v1/rate_decks/{deck_id}/imports?mode=full"
    answer = await api.post(path, content=body(), headers=CSV)
    assert answer.status_code == 200, answer.text
    assert answer.json()["added"] == count
    # As Python objects the rows would take some 150 MB, server and client being one process here.
    assert memory("VmHWM") - before < 50_000
    connection = await asyncpg.connect(database)
    stored = await connection.fetchval(
        "SELECT count(*) FROM config.rate WHERE deck_id = $1", deck_id
    )
    await connection.close()
    assert stored == count
