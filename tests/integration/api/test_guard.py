"""The guard through HTTP: shown, obeying, on the audit log."""

import httpx

from tests.integration.api.others import Others


async def test_guard_is_shown(api: httpx.AsyncClient, others: Others) -> None:
    others.bans["203.0.113.66"] = 60
    (node,) = (await api.get("/v1/guard?limit=5")).json()["nodes"]
    assert node == {
        "node": "signaling-1", "firewall": "off", "admitted_share": 0.5, "queue_age_ms": 0,
        "bans": [
            {"target": "203.0.113.66", "seconds_left": 60, "reason": "operator", "hits": 7}
        ],
        "counters": {"shed": 3},
        "last_minute": {"unknown_source": [{"key": "203.0.113.9", "count": 5}]},
        "sources": [{"source": "ctr_1", "cps": 12.5, "baseline_cps": 2.0, "flooding": True}],
    }  # fmt: skip


async def test_ban_and_unban_are_on_the_audit_log(api: httpx.AsyncClient, others: Others) -> None:
    answer = await api.post("/v1/guard/bans", json={"target": "2001:DB8::/64", "seconds": 60})
    assert (answer.status_code, answer.json()) == (201, {"target": "2001:db8::/64", "seconds": 60})
    assert others.bans == {"2001:db8::/64": 60}
    assert (await api.delete("/v1/guard/bans/2001:db8::/64")).status_code == 204
    assert (await api.delete("/v1/guard/bans/2001:db8::/64")).status_code == 404
    events = (await api.get("/v1/audit_events?object_type=guard")).json()["data"]
    assert [(one["action"], one["object_id"]) for one in events] == [
        ("unban", "2001:db8::/64"), ("ban", "2001:db8::/64"),
    ]  # fmt: skip


async def test_nonsense_is_refused(api: httpx.AsyncClient, others: Others) -> None:
    for body in ({}, {"target": ""}, {"target": "x", "seconds": 0}, {"target": "x", "who": 1}):
        assert (await api.post("/v1/guard/bans", json=body)).status_code == 422
    assert others.bans == {}
    assert (await api.get("/v1/guard/rules?format=pf")).status_code == 422


async def test_rules_are_plain_text(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/guard/rules?format=iptables")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "# iptables\n"
