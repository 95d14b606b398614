"""What a routing server says, and what is nonsense."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.signaling.core.offered_routes import Refusal, from_json, from_response
from services.signaling.core.values import OfferedRoute
from tests.support.signaling.machine import Machine, answer_to


def said(status: int, *contacts: str) -> Any:
    draft = Machine().dial().draft
    lines = [f"Contact: {contact}" for contact in contacts]
    return from_response(answer_to(draft, status, headers=lines, contact=""))


def test_contacts_name_trunk_numbers_and_limits() -> None:
    assert said(
        302,
        "<sip:4930@north;caller=%2B4989;max_call_s=60>;q=0.4",
        "<sip:4931@192.0.2.1:5070;vendor_trunk=south%20east>;q=0.5",
        "<sip:4932@192.0.2.1?X-Vendor-Trunk=west%201&Route=x>;q=0.6",
        "<sip:gw.example:5070>;q=0.1",
    ) == (
        OfferedRoute(vendor="west 1", called="4932"),
        OfferedRoute(vendor="south east", called="4931"),
        OfferedRoute(vendor="north", called="4930", caller="+4989", max_call_s=60),
        OfferedRoute(vendor="gw.example:5070"),
    )


def test_limits_that_are_none_are_not_heeded() -> None:
    for value in ("-1", "x", "123456789", "%31"):
        (route,) = said(300, f"<sip:1@north;max_call_s={value}>")
        assert route.max_call_s == 0


@pytest.mark.parametrize("status", [300, 301, 302, 305, 380])
def test_a_redirection_without_contact_is_nonsense(status: int) -> None:
    assert said(status) is None
    assert said(status, "<tel:+49>", "*") is None


@pytest.mark.parametrize("status", [200, 401, 407, 408, 500, 503])
def test_answers_that_are_no_verdict(status: int) -> None:
    assert said(status) is None


@pytest.mark.parametrize("status", [400, 403, 404, 486, 603])
def test_refusals(status: int) -> None:
    assert said(status) == Refusal(status)


def test_json_routes() -> None:
    body = {
        "routes": [
            {"vendor_trunk": "north", "called": "4930", "caller": "", "max_call_s": 60},
            {"vendor_trunk": "south", "called": None, "extra": 1},
        ]
    }
    assert from_json(json.dumps(body).encode()) == (
        OfferedRoute(vendor="north", called="4930", caller="", max_call_s=60),
        OfferedRoute(vendor="south"),
    )


def test_json_refusals() -> None:
    assert from_json(b'{"refuse": {"status": 404, "reason": "nobody"}}') == Refusal(404, "nobody")
    assert from_json(b'{"refuse": {}}') == Refusal(403)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b"\xff",
        b'{"routes": []}',
        b'{"routes": [{}]}',
        b'{"routes": [{"vendor_trunk": ""}]}',
        b'{"routes": [{"vendor_trunk": 5}]}',
        b'{"routes": [{"vendor_trunk": "n", "max_call_s": -1}]}',
        b'{"refuse": {"status": 200}}',
        b'{"routes": [{"vendor_trunk": "n"}], "refuse": {}}',
        b'{"routes": [' + b'{"vendor_trunk": "n"},' * 100 + b'{"vendor_trunk": "n"}]}',
        b"[" * 100_000,
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_json_that_is_nonsense(body: bytes) -> None:
    assert from_json(body) is None


@given(st.one_of(st.binary(max_size=200), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["routes", "refuse", "vendor_trunk", "status", "called", "max_call_s"]),
        inner, max_size=4,
    ),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_no_json_breaks_it(body: bytes) -> None:
    ruling = from_json(body)
    assert ruling is None or isinstance(ruling, Refusal) or len(ruling) > 0
