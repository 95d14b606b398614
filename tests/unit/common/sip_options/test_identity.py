"""Identity options that contradict each other, and those of numbers."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import Invalid
from services.common.sip_options.trunk import CustomerSip, VendorSip, read_options


@pytest.mark.parametrize(
    "identity",
    [
        {"p_asserted_identity": "caller"},
        {"caller_format": "national"},
        {"called_format": "national", "country_code": ""},
        {"p_charge_info": "fixed"},
        {"host": "a b"},
        {"host": "h.example:99999"},
        {"host": "2001:db8::1"},
        {"to_host": "<sip:h>"},
        {"charge_number": "12a"},
        {"country_code": "049"},
        {"national_prefix": "12345"},
    ],
)
def test_what_makes_no_sense_is_refused(identity: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        read_options(VendorSip, {"identity": identity})


@pytest.mark.parametrize("host", ["", "h.example", "h.example:65535", "[2001:db8::1]:5060"])
def test_hosts(host: str) -> None:
    assert read_options(VendorSip, {"identity": {"host": host}}).identity.host == host


@pytest.mark.parametrize("source", ["pai", "rpid"])
def test_numbers_from_asserted_headers_need_trust(source: str) -> None:
    numbers = {"numbers": {"caller_from": source}}
    with pytest.raises(Invalid, match="trusted"):
        read_options(CustomerSip, numbers)
    trusted = read_options(CustomerSip, {**numbers, "identity": {"trusted": True}})
    assert trusted.numbers.caller_from == source
