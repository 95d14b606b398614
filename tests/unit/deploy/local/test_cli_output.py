"""What strangers wrote, on an operator's terminal."""

import io

import pytest
from rich.console import Console

from deploy.local.cli import explain, output
from deploy.local.cli.describe import differences

HOSTILE = "INVITE \x1b]0;owned\x07\x1b[2J\x9b31m[/red]\r\nVia: x"
SHOWN = "INVITE \\x1b]0;owned\\x07\\x1b[2J\\x9b31m[/red]\nVia: x"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()

    def console(**options: object) -> Console:
        del options
        return Console(file=stream, width=1000, highlight=False, soft_wrap=True)

    monkeypatch.setattr(output, "Console", console)
    monkeypatch.setattr(explain, "console", console())
    return stream


def test_a_ladder_does_not_steer_the_terminal(terminal: io.StringIO) -> None:
    step = {"at": "2026-01-02T03:04:05.678Z", "leg": "A", "sent": False}
    explain.show_ladder([step | {"summary": HOSTILE, "raw": HOSTILE}], raw=True)
    assert terminal.getvalue().count(SHOWN) == 2


def test_a_table_shows_what_it_was_given(terminal: io.StringIO) -> None:
    # Square brackets are markup to the library below, and unbalanced ones an error.
    output.table([{"caller": "[/]\x1b[2J", "talk": None}], [("caller", "caller"), ("t", "talk")])
    assert "[/]\\x1b[2J" in terminal.getvalue()


def test_what_changed_inside_an_object_is_shown_by_itself() -> None:
    old = {"dns": {"lookup": "srv"}, "probe": {"every_s": 30, "down_after": 3}}
    new = {"dns": {"lookup": "srv"}, "probe": {"every_s": 5}, "trace": True}
    assert differences("sip", old, new) == [
        "sip.probe.every_s: 30 -> 5",
        "sip.probe.down_after: 3 -> default",
        "sip.trace: default -> True",
    ]
    assert differences("host", "a", "b\x1b") == ["host: a -> b\\x1b"]
