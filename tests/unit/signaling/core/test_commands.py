"""The alphabet of commands."""

from __future__ import annotations

from services.signaling.core.commands import Finished, Owner, ReleaseMedia


def test_an_owner_has_no_transaction_until_its_request_is_sent() -> None:
    assert Owner().key == ""


def test_commands_without_facts_are_told_apart_by_type() -> None:
    assert len({type(Finished()), type(ReleaseMedia())}) == 2
