"""Reads the pages of the documentation, and types their examples as a reader would.

A fenced block takes part when its info string says how, after the language:

``file=NAME``
    it is saved under that name.
``run``
    each line after ``$`` is typed; the lines below it are its output, as far as the page shows it.
``run exit=N``
    the same, and the last command ends with status N.
``run eventually``
    the commands are repeated until they show what the page shows.
``background``
    the commands run until the end of the page.

Shown lines appear in the output in the order of the page; blanks count once, ``...`` is anything.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.lab import eventually

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def where(self) -> str:
        """For failures."""
        return f"{self.page.name}:{self.line}"

    def option(self, name: str) -> str | None:
        """The value of ``name=value`` in the info string."""
        found = [word.removeprefix(f"{name}=") for word in self.words if word.startswith(name)]
        return found[0] if found else None

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        """Each command with the lines shown below it."""
        command, shown = "", list[str]()
        for line in self.text.splitlines():
            if line.startswith("$ "):
                if command:
                    yield command, shown
                command, shown = line[2:], []
            elif line.strip():
                shown.append(line)
        if command:
            yield command, shown


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, language, tuple(words), match["text"]))
    return found


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


class Terminal:
    """A shell in a folder of its own, where ``./tandem`` is the command line.

    ``ports`` replaces the port numbers that pages show by those that are in use here.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str], ports: Mapping[str, int]
    ) -> None:
        self.folder = folder
        self._environment = {**os.environ, **environment}
        self._ports = {number: str(port) for number, port in ports.items()}
        self._number = re.compile(rf"\b({'|'.join(ports)})\b")
        self._background: list[subprocess.Popen[bytes]] = []
        command = folder / "tandem"
        command.write_text(f'#!/bin/sh\nexec {ROOT}/tandem "$@"\n')
        command.chmod(0o755)

    def play(self, block: Block) -> None:
        """Do what the info string of a block asks for."""
        if (name := block.option("file")) is not None:
            (self.folder / name).write_text(self._here(block.text))
        elif "background" in block.words:
            for command, _ in block.commands():
                self._start(command)
        elif "eventually" in block.words:
            self._play_until_it_shows(block)
        elif "run" in block.words:
            failure = self._failure(block)
            assert not failure, failure

    def close(self) -> None:
        """End what runs in the background."""
        for process in self._background:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _play_until_it_shows(self, block: Block) -> None:
        failures: list[str] = []

        def look() -> bool | None:
            failures.append(self._failure(block))
            return not failures[-1] or None

        try:
            eventually(look)
        except AssertionError as error:
            raise AssertionError(failures[-1]) from error

    def _failure(self, block: Block) -> str:
        """What differs from the page; empty when nothing does."""
        commands = list(block.commands())
        for number, (command, shown) in enumerate(commands, start=1):
            expected = int(block.option("exit") or 0) if number == len(commands) else 0
            status, output = self._type(command)
            report = f"{block.where}: {command}\nexit {status}\n{output}"
            if status != expected:
                return f"{report}\ninstead of exit {expected}"
            missing = missing_line(output, [self._here(line) for line in shown])
            if missing is not None:
                return f"{report}\nlacks: {missing}"
        return ""

    def _here(self, text: str) -> str:
        return self._number.sub(lambda match: self._ports[match[0]], text)

    def _type(self, command: str) -> tuple[int, str]:
        # Variables set in one command are there in the next, as in a terminal.
        script = f"set -a; [ ! -f .variables ] || . ./.variables; {self._here(command)}\n"
        script += "status=$?; declare -p | grep '^declare -x [A-Z_]*=' > .variables; exit $status"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def _start(self, command: str) -> None:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {self._here(command)}"],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._background.append(process)


def missing_line(output: str, shown: list[str]) -> str | None:
    """The first shown line that the output does not have after those before it."""
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    for line in shown:
        pattern = re.escape(" ".join(line.split())).replace(r"\.\.\.", ".*")
        if not any(re.fullmatch(pattern, one) for one in lines):
            return line
    return None
