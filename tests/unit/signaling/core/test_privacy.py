"""What a caller asks to be kept to himself."""

from __future__ import annotations

import pytest

from services.signaling.core.privacy import hides, privacy_line, wishes, wishes_of_caller
from tests.support.signaling.machine import wire_request


@pytest.mark.parametrize(
    ("lines", "values", "hidden"),
    [
        ([], (), False),
        (["Privacy: id"], ("id",), True),
        (["privacy: ID ; critical"], ("id", "critical"), True),
        (["Privacy: header", "Privacy: user, id"], ("header", "user", "id"), True),
        (["Privacy: none"], ("none",), False),
        (["Privacy: id;none"], ("id", "none"), False),
        (["Privacy: history;session"], ("history", "session"), False),
        (["Privacy: "], (), False),
        (["Privacy: <id>;a b;\x01"], (), False),
    ],
)
def test_wishes(lines: list[str], values: tuple[str, ...], hidden: bool) -> None:
    asked = wishes(wire_request("INVITE", headers=lines))
    assert asked == values
    assert hides(asked) is hidden


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        (["Remote-Party-ID: <sip:1@h>;privacy=full"], ("id",)),
        (["Remote-Party-ID: <sip:1@h>;party=calling;privacy=uri-network"], ("id",)),
        (["Remote-Party-ID: <sip:1@h>;party=called;privacy=full"], ()),
        (["Remote-Party-ID: <sip:1@h>;privacy=off"], ()),
        (["Remote-Party-ID: rubbish<"], ()),
        (["Remote-Party-ID: <sip:1@h>;privacy=full", "Privacy: none"], ("none",)),
        ([], ()),
    ],
)
def test_older_equipment_asks_in_remote_party_id(
    lines: list[str], values: tuple[str, ...]
) -> None:
    assert wishes_of_caller(wire_request("INVITE", headers=lines)) == values


def test_line() -> None:
    assert privacy_line(("header", "id")) == ["Privacy: header;id"]
    assert privacy_line(()) == []
