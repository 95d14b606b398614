"""What a process that does not start is said to have died of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.local.children import TAIL_CHARS, last_words

CRASH = """  + Exception Group Traceback (most recent call last):
  |   File "run.py", line 98, in run
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    | OSError: [Errno 98] Address already in use: udp 127.0.0.1 port 5060
    +------------------------------------"""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            json.dumps({"event": "bus.connected"})
            + "\n"
            + json.dumps({"event": "service.crashed", "exception": CRASH})
            + "\n",
            "OSError: [Errno 98] Address already in use: udp 127.0.0.1 port 5060",
        ),
        ('{"event": "x"}\n', '{"event": "x"}'),
        ("[1, 2]", "[1, 2]"),
        ("nats: no space left\nbye", "nats: no space left\nbye"),
        ("a" * TAIL_CHARS + "b", "a" * (TAIL_CHARS - 1) + "b"),
        ("", ""),
    ],
)
def test_the_last_words(log: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "signaling.log"
    path.write_text(log)
    assert last_words(path) == words


def test_who_left_no_log_said_nothing(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none.log") == ""
