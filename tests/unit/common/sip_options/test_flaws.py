"""Everything that is wrong, by its path and in words."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from services.common.sip_options.flaws import Flaw, InvalidOptions, flaws_of, written
from services.common.sip_options.session_timer import SessionTimer
from services.common.sip_options.trunk import (
    CustomerSip,
    VendorSip,
    inlined_schema,
    read_options,
    stored_options,
)

KINDS: list[Any] = [CustomerSip, VendorSip]


def said(kind: Any, value: object) -> list[str]:
    return [str(flaw) for flaw in flaws_of(kind, value)]


def test_all_of_them_at_once() -> None:
    value = {
        "routing": {"server": "router.example", "timeout_ms": 50},
        "session_timer": {"expires_s": 600, "min_se_s": 1800, "mode": "on"},
        "transports": ["udp", "sctp"],
        "codes": {"status_map": {"503": 200, "abc": 480}, "prefer_q850": "yes"},
        "nat": "auto",
        "sessiontimer": {},
    }
    assert said(CustomerSip, value) == [
        "routing.server: must be sip:HOST, sip:HOST:PORT or the same with ;transport=udp, tcp or"
        " tls, or an http or https URL, or empty, not 'router.example'",
        "routing.timeout_ms: must be a whole number from 100 to 10000, not 50",
        "session_timer.mode: must be one of accept, off, request, not 'on'",
        "session_timer.expires_s: must not be below min_se_s, which is 1800",
        "transports[1]: must be one of tcp, tls, udp, ws, wss, not 'sctp'",
        "codes.status_map: 'abc' must be a SIP status from 300 to 699, or other",
        "codes.prefer_q850: must be true or false, not 'yes'",
        "nat: must be an object with options, not 'auto'",
        "sessiontimer: is no option here; did you mean session_timer?",
    ]


@pytest.mark.parametrize(
    ("kind", "value", "flaw"),
    [
        (VendorSip, [], "must be an object with options, not []"),
        (VendorSip, {"auth": {"zzz": 1}},
         "auth.zzz: is no option here; there are password, realm, username, weakest"),
        (VendorSip, {"auth": {"username": "a", "password": "x\n"}},
         "auth.password: must be one line of text of at most 256 characters"),
        (VendorSip, {"register": {"expires_s": "never"}},
         "register.expires_s: must be auto or a whole number from 1 to 86400, not 'never'"),
        (VendorSip, {"codes": {"stop_causes": [1, True]}},
         "codes.stop_causes[1]: must be a whole number from 1 to 127, not true"),
        (VendorSip, {"codes": {"stop_causes": 5}}, "codes.stop_causes: must be a list, not 5"),
        (VendorSip, {"codes": {"treat_as": {"503": 200}}},
         "codes.treat_as.503: must be a whole number from 400 to 699, not 200"),
        (VendorSip, {"codes": {"hunt_on": [404] * 101}},
         "codes.hunt_on: must have at most 100 entries, not 101"),
        (VendorSip, {"identity": {"host": "x" * 300}},
         "identity.host: must be HOST or HOST:PORT, an IPv6 address in brackets, or empty,"
         f" not '{'x' * 59}..."),
        (VendorSip, {"listener": "a b"},
         "listener: must be the name of a listening address, its HOST or HOST:PORT, or empty,"
         " not 'a b'"),
    ],
)  # fmt: skip
def test_in_the_words_of_the_field(kind: Any, value: object, flaw: str) -> None:
    assert said(kind, value) == [flaw]


@pytest.mark.parametrize(
    ("kind", "value", "flaws"),
    [
        (CustomerSip, {"registrations": {"min_expires_s": 600, "max_expires_s": 300}},
         ["registrations.min_expires_s: must not be above max_expires_s, which is 300"]),
        (VendorSip, {"auth": {"password": "secret", "realm": "r"}},
         ["auth.password: means nothing without username",
          "auth.realm: means nothing without username"]),
        (CustomerSip, {"codes": {"cause_status": {"17": 486}}},
         ["codes.cause_status: means nothing without prefer_q850"]),
        (VendorSip, {"headers": {"pass": "none", "listed": ["X-A"], "strip": ["x-a"]}},
         ["headers.listed: means nothing while pass is none",
          "headers.listed: x-a cannot pass while strip has it too"]),
        (CustomerSip, {"numbers": {"caller_from": "pai"}},
         ["numbers.caller_from: needs identity.trusted"]),
        (CustomerSip, {"codes": {"reasons": {"busy": 407, "tired": 480}}},
         ["codes.reasons: 'tired' is no end reason",
          "codes.reasons: 407 would be a challenge without a question"]),
        (VendorSip, {"identity": {"called_format": "national", "p_charge_info": "fixed"}},
         ["identity.country_code: is needed by the national format",
          "identity.charge_number: is needed by a fixed p_charge_info"]),
    ],
)  # fmt: skip
def test_what_does_not_go_together(kind: Any, value: object, flaws: list[str]) -> None:
    assert said(kind, value) == flaws


def test_what_is_wrong_itself_is_not_held_against_others() -> None:
    value = {"numbers": {"caller_from": "pai"}, "identity": {"trusted": "yes"}}
    assert said(CustomerSip, value) == ["identity.trusted: must be true or false, not 'yes'"]
    timer = {"session_timer": {"expires_s": 600, "min_se_s": 7}}
    assert said(CustomerSip, timer) == [
        "session_timer.min_se_s: must be a whole number from 90 to 86400, not 7"
    ]


def test_what_only_makes_no_sense_is_no_reason_to_drop_what_is_stored() -> None:
    value = {"session_timer": {"expires_s": 600, "min_se_s": 1800}}
    with pytest.raises(InvalidOptions):
        read_options(CustomerSip, value)
    timer = SessionTimer(expires_s=600, min_se_s=1800)
    assert stored_options(CustomerSip, value).session_timer == timer
    with pytest.raises(InvalidOptions, match=r"numbers\.caller_from: needs identity.trusted"):
        stored_options(CustomerSip, {"numbers": {"caller_from": "pai"}})


def test_one_error_names_the_first_and_carries_all() -> None:
    with pytest.raises(InvalidOptions) as refused:
        read_options(VendorSip, {"trace": 1, "listener": 2})
    assert (refused.value.field, refused.value.reason) == (
        "sip.trace", "must be true or false, not 1",
    )  # fmt: skip
    assert [flaw.path for flaw in refused.value.flaws] == [("trace",), ("listener",)]
    with pytest.raises(InvalidOptions) as refused:
        read_options(VendorSip, None)
    assert refused.value.field == "sip"
    assert written(("codes", "stop_causes", 2)) == "codes.stop_causes[2]"
    assert str(Flaw((), "why")) == "why"


@pytest.mark.parametrize("kind", KINDS)
def test_every_pattern_says_what_it_wants(kind: Any) -> None:
    def patterns(node: Any) -> list[dict[str, Any]]:
        if isinstance(node, dict):
            own = [node] if "pattern" in node else []
            return own + [found for part in node.values() for found in patterns(part)]
        return (
            [found for part in node for found in patterns(part)] if isinstance(node, list) else []
        )

    found = patterns(inlined_schema(kind))
    assert len(found) >= 5
    assert all(node.get("description") for node in found)


VALUES = [
    None, True, False, 0, 1, 90, 486, 600_000, -1, 1.5, 5.0, "", "auto", "off", "x", "a b", "\n",
    "udp", "none", "sip:h", "407", "X-A", [], ["udp"], ["X-A"], [404], {}, {"503": 486},
    {"X-A": "1"}, {"other": 480}, {"busy": 486}, {"17": 17}, 10**30,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_it_agrees_with_msgspec_on_what_is_wrong(kind: Any) -> None:
    """What it lets pass can be converted; what it refuses is nonsense or cannot be."""
    draw = random.Random(7)
    properties = inlined_schema(kind)["properties"]
    for _ in range(4_000):
        name = draw.choice(sorted(properties))
        inner = sorted(properties[name].get("properties", {}))
        value: dict[str, Any] = {name: draw.choice(VALUES)}
        if inner:
            value = {name: {draw.choice(inner): draw.choice(VALUES) for _ in range(2)}}
        try:
            made = msgspec.convert(value, kind, strict=True)
        except msgspec.ValidationError:
            assert flaws_of(kind, value), value
            continue
        groups = [made, *(getattr(made, one) for one in made.__struct_fields__)]
        odd = any(list(one.nonsense()) for one in groups if hasattr(one, "nonsense"))
        assert bool(flaws_of(kind, value)) is odd, value
