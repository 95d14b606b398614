"""Starting one child process: its own session and log, and not outliving its supervisor."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import launch, tools

MAX_LOG_BYTES = 32 << 20
"""A log longer than this is put aside, as one older file, at the next start."""

TAIL_CHARS = 4000
"""Of a log that ends otherwise than our services' do."""
LONGEST_LINE_BYTES = 65_536
"""A traceback is one line of theirs."""

_LIGHTER = {"CLICKHOUSE_DRIVER_LASY_DATE_LUT": "1"}
"""Lets the driver work out a date when it meets it. It would tabulate every day of four centuries
when it is imported: 90 ms and 22 MB in each process."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user that a program runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """A program and how it is started and ended."""

    arguments: tuple[str, ...]
    """The program's absolute path first."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the supervisor's own."""
    account: Account | None = None
    """``None`` keeps the supervisor's."""
    inherited: tuple[int, ...] = ()
    """File descriptors the program finds open, under the same numbers."""
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    """What it gets when the supervisor dies."""

    @property
    def launched(self) -> list[str]:
        """The command line that becomes the program."""
        account = self.account or Account(-1, -1)
        numbers = (os.getpid(), int(self.death_signal), account.uid, account.gid)
        launcher = [sys.executable, "-IS", launch.__file__, *map(str, numbers)]
        return [*launcher, *self.arguments]


async def spawn(command: Command, log: Path) -> Process:
    """Start ``command``; what it prints is appended to ``log``.

    The caller's thread must live as long as the child should: the kernel takes the end of the
    thread that started a child for the death of its parent.
    """
    _put_aside(log)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *command.launched,
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            cwd=tools.ROOT,
            env={**_LIGHTER, **os.environ, **command.environment},
            pass_fds=command.inherited,
            # Ctrl-C is for the supervisor, which decides who stops when.
            start_new_session=True,
        )


def last_words(log: Path) -> str:
    """What a process died of, as the end of its log has it; empty when there is no log."""
    if not log.exists():
        return ""
    with log.open("rb") as lines:
        size_bytes = lines.seek(0, os.SEEK_END)
        lines.seek(max(0, size_bytes - LONGEST_LINE_BYTES))
        end = lines.read().decode(errors="replace").strip()
    return _cause(end.rpartition("\n")[2]) or end[-TAIL_CHARS:]


def _cause(line: str) -> str:
    """The exception of a line of our services' logs, without its way there."""
    try:
        exception = json.loads(line)["exception"]
    except (ValueError, KeyError, TypeError):
        return ""
    said = [text.strip(" |+-") for text in str(exception).splitlines()]
    return next((text for text in reversed(said) if text), "")


def _put_aside(log: Path) -> None:
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))
