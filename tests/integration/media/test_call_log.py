"""Calls in a file, from one process to the next, on disks good and bad."""

import itertools
import os
from pathlib import Path

import pytest

from services.media.adapters import call_log
from services.media.adapters.call_log import CallLog
from services.media.core.session import Session
from services.media.core.snapshot import SessionState


def state(number: int = 0) -> SessionState:
    return Session(itertools.count(number).__next__, 0.0).snapshot()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(folder: Path, boot: str = "boot", clock: Clock | None = None) -> CallLog:
    log = CallLog(folder / "calls.log", boot=boot, monotonic=clock or Clock())
    log.open()
    return log


def left(folder: Path, boot: str = "boot") -> dict[str, SessionState]:
    return CallLog(folder / "calls.log", boot=boot, monotonic=Clock()).open()


def test_next_process_finds_what_was_flushed_last(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for number in range(3):
        log.keep(f"c{number}", state())
    log.keep("c1", state(7))
    log.forget("c2")
    log.flush()
    log.keep("unsaid", state())
    assert left(tmp_path) == {"c0": state(), "c1": state(7)}
    assert left(tmp_path) == {"c0": state(), "c1": state(7)}, "reading takes nothing away"


def test_after_a_reboot_nothing_is_left(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.keep("c", state())
    log.close(is_over=False)
    assert left(tmp_path, "another") == {}
    assert left(tmp_path) == {}


def test_machine_that_does_not_say_which_boot_it_is_restores_nothing(tmp_path: Path) -> None:
    log = opened(tmp_path, "")
    log.keep("c", state())
    log.flush()
    assert left(tmp_path, "") == {}


def test_other_version_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(tmp_path)
    log.keep("c", state())
    log.flush()
    monkeypatch.setattr(call_log, "VERSION", 2)
    assert left(tmp_path) == {}


def test_process_that_is_done_leaves_nothing(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.keep("c", state())
    log.close(is_over=True)
    assert list(tmp_path.iterdir()) == []


def test_process_that_never_opened_it_changes_nothing(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.keep("c", state())
    log.flush()
    for is_over in (False, True):
        other = CallLog(tmp_path / "calls.log", boot="boot", monotonic=Clock())
        other.flush()
        other.close(is_over=is_over)
    assert left(tmp_path) == {"c": state()}


@pytest.mark.parametrize("cut", [1, 7, 8, 20])
def test_entry_cut_short_costs_itself_only(tmp_path: Path, cut: int) -> None:
    log = opened(tmp_path)
    log.keep("one", state())
    log.flush()
    whole = (tmp_path / "calls.log").stat().st_size
    log.keep("two", state())
    log.flush()
    os.truncate(tmp_path / "calls.log", whole + cut)
    assert left(tmp_path) == {"one": state()}


def test_damage_is_noticed(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for call_id in ("one", "two"):
        log.keep(call_id, state())
        log.flush()
    path = tmp_path / "calls.log"
    data = bytearray(path.read_bytes())
    data[-3] ^= 0xFF
    path.write_bytes(data)
    assert left(tmp_path) == {"one": state()}
    path.write_bytes(b"rubbish" * 100)
    assert left(tmp_path) == {}
    path.write_bytes(b"")
    assert left(tmp_path) == {}


def test_file_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_log, "LEAST_COMPACTED", 4_096)
    log = opened(tmp_path)
    log.keep("long", state())
    for number in range(1_000):
        log.keep(f"c{number}", state())
        log.flush()
        log.forget(f"c{number}")
        log.flush()
    assert (tmp_path / "calls.log").stat().st_size < 8_192
    assert left(tmp_path) == {"long": state()}


def test_full_disk_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    log = opened(tmp_path, clock=clock)
    log.keep("before", state())
    log.flush()
    real = os.write

    def cut_short(file: int, data: bytes) -> int:
        return real(file, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", cut_short)
    log.keep("lost", state())
    log.flush()
    log.forget("before")
    log.flush()  # too soon for another attempt
    assert log.failures == 1
    clock.now += call_log.RETRY_S
    log.flush()
    assert log.failures == 2
    assert left_by_reading(tmp_path) == {"before": state()}, "the old file is still there"
    monkeypatch.undo()
    clock.now += call_log.RETRY_S
    log.flush()
    log.keep("after", state())
    log.flush()
    assert (log.failures, left(tmp_path)) == (2, {"lost": state(), "after": state()})


def left_by_reading(folder: Path) -> dict[str, SessionState]:
    """As :func:`left`, of a copy: the next process writes the file anew."""
    copy = folder / "copy"
    copy.mkdir()
    (copy / "calls.log").write_bytes((folder / "calls.log").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(call_log, "_write", lambda _file, _data: None)
        return left(copy)


def test_folder_that_cannot_be_written_costs_nothing_but_survival(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "missing" / "calls.log", boot="boot", monotonic=Clock())
    assert log.open() == {}
    log.keep("c", state())
    log.flush()
    log.close(is_over=True)
    assert log.failures
