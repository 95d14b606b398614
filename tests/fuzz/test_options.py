"""The same courses between trunks whose options change, pass and add everything they may."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.sip_options.trunk import CustomerSip, VendorSip, read_options
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from tests.fuzz.scene import Scene
from tests.fuzz.seeds import COURSES
from tests.fuzz.slow import VENDOR_HOST

CUSTOMERS: list[dict[str, Any]] = [
    {
        "numbers": {"caller_from": "pai", "called_from": "diversion"},
        "identity": {"trusted": True, "called_identity": "pass"},
        "headers": {"pass": "all", "strip": ["X-A"], "add": {"X-B": "é"}},
        "codes": {"reason": "inject", "status_map": {"other": 0}, "prefer_q850": True,
                  "cause_map": {"17": 21}},
        "early_media": {"ringing": "183", "forks": "one", "stop_hunting_after": "sdp"},
        "timeouts": {"setup_ms": 20_000},
    },
    {
        "numbers": {"caller_from": "display", "called_from": "to"},
        "headers": {"pass": "listed", "listed": ["Date"]},
        "codes": {"reason": "none", "reasons": {"busy": 600}},
        "early_media": {"ringing": "none", "stop_hunting_after": "ringing"},
    },
]  # fmt: skip
VENDORS: list[dict[str, Any]] = [
    {
        "identity": {
            "trusted": True, "p_asserted_identity": "pass", "remote_party_id": "pass",
            "diversion": "pass", "history_info": "pass", "display": "pass", "user_phone": True,
            "p_charge_info": "pass", "caller_format": "national", "country_code": "49",
        },
        "headers": {"pass": "all", "add": {"X-C": "1"}},
        "codes": {"treat_as": {"503": 486, "other": 480}, "stop_causes": [17], "hunt_on": [486]},
        "early_media": {"stop_hunting_after_rtp": True},
    },
    {
        "identity": {"privacy": "id", "p_preferred_identity": "caller", "to_host": "h.example"},
        "headers": {"pass": "none"},
        "codes": {"reason": "inject", "status_causes": {"other": 20}},
    },
]  # fmt: skip
LINES = (
    b"Privacy: id;user", b'P-Asserted-Identity: "A" <sip:+4930@192.0.2.1?x=y>, <tel:+49>',
    b"Diversion: <sip:1@h>;reason=x, <", b"History-Info: <sip:1@h?Reason=a>;index=1",
    b'Remote-Party-ID: "a\\"b" <sip:1@h>;party=calling', b"X-A: 1", b"Privacy: ;,;",
    b"P-Charge-Info: rubbish", b"Subject: \xff\xfe", b"Date: x",
)  # fmt: skip


class DressedScene(Scene):
    """A scene whose INVITEs carry what options are about."""

    def __init__(self, lines: list[bytes]) -> None:
        super().__init__()
        self._lines = b"".join(b"\r\n" + line for line in lines)

    def deliver(self, data: bytes, source: Any) -> None:
        if data.startswith(b"INVITE "):
            data = data.replace(b"\r\nCSeq", self._lines + b"\r\nCSeq", 1)
        super().deliver(data, source)


def options(side: Any, choices: list[dict[str, Any]]) -> st.SearchStrategy[Any]:
    return st.sampled_from([read_options(side, choice) for choice in choices])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(COURSES),
    st.binary(max_size=150),
    st.lists(st.sampled_from(LINES), max_size=6),
    options(CustomerSip, CUSTOMERS),
    st.lists(options(VendorSip, VENDORS), min_size=4, max_size=4),
)
def test_options_break_nothing(
    course: bytes, tail: bytes, lines: list[bytes], customer: CustomerSip, vendors: list[VendorSip]
) -> None:
    scene = DressedScene(lines)
    scene.switch.trunks = TrunkTable(
        {"127.0.0.1": CustomerTrunk(id="ctr_1", account_id="acc_1", sip=customer)},
        vendors={f"vtr_{number}": sip for number, sip in enumerate(vendors)},
        vendor_hosts=[VENDOR_HOST],
    )
    scene.play(course + tail)
    for sent in scene.sent:
        if sent.data.startswith(b"INVITE ") and customer.headers.strip:
            assert b"\r\nX-A: 1\r\n" not in sent.data
