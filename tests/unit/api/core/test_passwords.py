"""Passwords that come in and are never shown."""

import pytest

from services.api.core.passwords import MASK, hidden, restored, stored_credentials
from services.common.digest import every_ha1
from services.common.errors import Invalid

SIP = {"auth": {"username": "tandem", "password": "s3cret"}, "timeouts": {"progress_ms": 1}}
MASKED = {"auth": {"username": "tandem", "password": MASK}, "timeouts": {"progress_ms": 1}}


def test_a_vendors_password_is_masked() -> None:
    assert hidden({"name": "v", "sip": SIP}) == {"name": "v", "sip": MASKED}
    assert hidden({"auth": {"password": ""}}) == {"auth": {"password": ""}}
    assert hidden([SIP, 1, None]) == [MASKED, 1, None]


def test_what_is_kept_of_a_customers_password_is_not_shown_at_all() -> None:
    kept = stored_credentials([{"username": "alice", "password": "secret-secret"}], None, "sip")
    assert kept == [
        {"username": "alice", "realm": "sip", "ha1": every_ha1("alice", "sip", "secret-secret")}
    ]
    assert hidden({"credentials": kept}) == {"credentials": [{"username": "alice"}]}


def test_the_mask_sent_back_keeps_the_password() -> None:
    assert restored(MASKED, SIP, "sip") == SIP
    other = {"auth": {"username": "tandem", "password": "new"}}
    assert restored(other, SIP, "sip") == other
    assert restored({}, SIP, "sip") == {}


def test_there_must_be_one_to_keep() -> None:
    with pytest.raises(Invalid) as refused:
        restored(MASKED, {"auth": {"username": "tandem"}}, "sip")
    assert refused.value.field == "sip.auth.password"
    with pytest.raises(Invalid):
        restored(MASKED, None, "sip")


def test_a_username_without_password_keeps_what_it_has() -> None:
    before = stored_credentials([{"username": "alice", "password": "secret-secret"}], None, "sip")
    wanted = [{"username": "alice", "password": None}, {"username": "bob", "password": "12345678"}]
    kept = stored_credentials(wanted, before, "sip")
    assert kept[0] == before[0]
    assert [one["username"] for one in kept] == ["alice", "bob"]
    with pytest.raises(Invalid) as refused:
        stored_credentials([{"username": "bob"}], before, "sip", "customer_trunks[0].credentials")
    assert refused.value.field == "customer_trunks[0].credentials[0].password"


def test_another_realm_is_another_hash() -> None:
    alice = [{"username": "alice", "password": "secret-secret"}]
    assert stored_credentials(alice, None, "a") != stored_credentials(alice, None, "b")
