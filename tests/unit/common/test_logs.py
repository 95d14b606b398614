import datetime as dt
import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.logs import configure_logs, get_logger


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _levels_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("services")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def configured(
    monkeypatch: pytest.MonkeyPatch, level: str = "INFO", stream: io.StringIO | None = None
) -> io.StringIO:
    stream = stream or io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs("routing", "routing-1", level)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_event_carries_its_facts_and_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch)
    get_logger("services.routing.server").info("deck.loaded", rows=3, folder=Path("/x"))
    [line] = lines(stream)
    at = dt.datetime.fromisoformat(str(line.pop("timestamp")))
    assert at.utcoffset() == dt.timedelta(0)
    assert line == {
        "event": "deck.loaded", "level": "info", "module": "services.routing.server",
        "service": "routing", "node": "routing-1", "rows": 3, "folder": "/x",
    }  # fmt: skip


def test_library_is_heard_from_warning_on_and_we_from_the_level_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = configured(monkeypatch, "debug")
    get_logger("services.routing.server").debug("plan.made")
    logging.getLogger("nats").info("hello")
    logging.getLogger("nats").warning("slow %s", "consumer")
    assert [(line["event"], line.get("logger")) for line in lines(stream)] == [
        ("plan.made", None), ("slow consumer", "nats"),
    ]  # fmt: skip


def test_below_the_level_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch, "ERROR")
    log = get_logger("services.routing.server")
    log.warning("bus.unreachable")
    logging.getLogger("nats").warning("slow consumer")
    log.error("disk.full")
    assert [line["event"] for line in lines(stream)] == ["disk.full"]


def test_unknown_level_is_info(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch, "chatty")
    get_logger("services.x").debug("a")
    get_logger("services.x").info("b")
    assert [line["event"] for line in lines(stream)] == ["b"]


def test_exception_being_handled_or_given_is_one_field(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch)
    log = get_logger("services.x")
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError as error:
        caught = error
        log.exception("handler.failed", durable="d")
    log.critical("service.crashed", exc_info=caught)
    first, second = lines(stream)
    assert (first["level"], second["level"]) == ("error", "critical")
    assert "ZeroDivisionError: a bug" in str(first["exception"])
    assert "ZeroDivisionError: a bug" in str(second["exception"])


@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[2J", "\ud800", "%s %d", "\u202e", "\x85\u2028"])
def test_hostile_text_stays_within_its_line(monkeypatch: pytest.MonkeyPatch, hostile: str) -> None:
    stream = configured(monkeypatch)
    get_logger("services.x").warning(hostile, caller=hostile)
    text = stream.getvalue()
    assert text.isascii()
    assert text.count("\n") == 1
    [line] = lines(stream)
    assert (line["event"], line["caller"]) == (hostile, hostile)


def test_fact_never_replaces_what_every_line_has(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = configured(monkeypatch)
    get_logger("services.x").info("call.ended", node="forged", level="none", event="other")
    [line] = lines(stream)
    assert (line["event"], line["node"], line["level"]) == ("call.ended", "routing-1", "info")


def test_terminal_gets_text_without_control_characters_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = configured(monkeypatch, stream=Terminal())
    get_logger("services.x").warning("bus.unreachable", error="a\x1b[2J")
    assert "bus.unreachable error='a\\x1b[2J'" in stream.getvalue()
