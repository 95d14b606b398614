from typing import Any

import pytest

from services.api.core.misfits import misfits


def said(host: str, **sip: Any) -> dict[str, str]:
    return {one.where: one.reason for one in misfits({"host": host, "sip": sip}, "v[0].")}


def test_a_registered_user_has_no_address_of_its_own() -> None:
    reason = "means nothing while host is registered:USERNAME"
    assert said(
        "registered:alice",
        dns={"lookup": "srv"},
        probe={"every_s": 30, "down_after": 5},
        keepalive={"crlf_s": 20},
        register={"enabled": True},
        registered={"request_uri": "number"},
    ) == {
        "v[0].sip.dns.lookup": reason,
        "v[0].sip.probe.every_s": reason,
        "v[0].sip.keepalive.crlf_s": reason,
        "v[0].sip.register.registrar": "is needed while host is registered:USERNAME",
    }
    register = {"enabled": True, "registrar": "sip.example"}
    assert said("registered:alice", register=register, probe={"up_after": 1}) == {}


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_not_looked_up(host: str) -> None:
    found = said(host, dns={"lookup": "naptr"}, registered={"request_uri": "number"})
    assert found == {
        "v[0].sip.dns.lookup": "means nothing while host is an address",
        "v[0].sip.registered.request_uri": "means nothing unless host is registered:USERNAME",
    }
    register = {"enabled": True, "registrar": "sip.example"}
    assert said(host, dns={"lookup": "naptr"}, register=register) == {}


def test_names_and_usual_options_fit() -> None:
    assert said("sip.example", dns={"lookup": "srv"}, probe={"every_s": 30}) == {}
    assert misfits({"host": "192.0.2.1"}) == []
