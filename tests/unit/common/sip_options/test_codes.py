"""Tables of codes that make sense, and some that do not."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.causes import EndReason
from services.common.errors import Invalid
from services.common.sip_options.trunk import CustomerSip, VendorSip, plain, read_options

GOOD: list[tuple[Any, dict[str, Any]]] = [
    (VendorSip, {"treat_as": {"503": 486, "other": 480}, "status_causes": {"480": 20}}),
    (VendorSip, {"stop_causes": [1, 127], "hunt_on": [404], "reason": "inject"}),
    (CustomerSip, {"reasons": {"no_route": 404}, "status_map": {"503": 480, "other": 0}}),
    (CustomerSip, {"prefer_q850": True, "cause_status": {"34": 480}, "cause_map": {"34": 38}}),
]
BAD: list[tuple[Any, dict[str, Any]]] = [
    (VendorSip, {"treat_as": {"200": 486}}),
    (VendorSip, {"treat_as": {"503": 200}}),
    (VendorSip, {"treat_as": {"5030": 486}}),
    (VendorSip, {"treat_as": {503: 486}}),
    (VendorSip, {"stop_causes": [128]}),
    (VendorSip, {"reason": "received"}),
    (CustomerSip, {"reasons": {"unheard_of": 404}}),
    (CustomerSip, {"reasons": {"no_route": 407}}),
    (CustomerSip, {"status_map": {"503": 200}}),
    (CustomerSip, {"status_map": {"503": 302}}),
    (CustomerSip, {"status_map": {"503": 401}}),
    (CustomerSip, {"cause_status": {"0": 480}}),
    (CustomerSip, {"cause_status": {"17": 401}}),
    (CustomerSip, {"cause_map": {"17": 0}}),
]


@pytest.mark.parametrize(("kind", "codes"), GOOD)
def test_good(kind: Any, codes: dict[str, Any]) -> None:
    assert plain(read_options(kind, {"codes": codes})) == {"codes": codes}


@pytest.mark.parametrize(("kind", "codes"), BAD)
def test_bad(kind: Any, codes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        read_options(kind, {"codes": codes})


def test_every_end_reason_is_known() -> None:
    reasons = {str(reason): 480 for reason in EndReason}
    assert read_options(CustomerSip, {"codes": {"reasons": reasons}}).codes.reasons == reasons
