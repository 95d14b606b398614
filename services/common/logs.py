"""Structured logs on stderr: one JSON object per line, or readable text on a terminal.

Events have names, not sentences: ``log.info("spool.recovered", batches=3)``. INFO is at most
once per call; numbers and SDP never appear at INFO. Built on the standard library alone: the
usual package for this imports a terminal toolkit, 65 ms and 6 MB in each of the processes.
"""

import datetime as dt
import json
import logging
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TypeAlias

ExcInfo: TypeAlias = (
    bool
    | BaseException
    | tuple[type[BaseException], BaseException, TracebackType | None]
    | tuple[None, None, None]
    | None
)
"""What to show a traceback of; ``True``: the exception being handled."""

_OURS = "services"
"""Above the loggers of all our modules."""

_COLOURS = {"debug": 2, "info": 32, "warning": 33, "error": 31, "critical": 31}
"""SGR codes of the level names on a terminal."""


class Logger:
    """Writes the events of one module; facts are keyword arguments."""

    __slots__ = ("_target",)

    def __init__(self, name: str) -> None:
        self._target = logging.getLogger(name)

    def debug(self, event: str, /, **facts: object) -> None:
        """What only somebody looking for a bug reads."""
        self._write(logging.DEBUG, event, facts, exc_info=None)

    def info(self, event: str, /, **facts: object) -> None:
        """At most once per call."""
        self._write(logging.INFO, event, facts, exc_info=None)

    def warning(self, event: str, /, **facts: object) -> None:
        """Something is away or late, and is being worked around."""
        self._write(logging.WARNING, event, facts, exc_info=None)

    def error(self, event: str, /, *, exc_info: ExcInfo = None, **facts: object) -> None:
        """Something was lost or refused that should not have been."""
        self._write(logging.ERROR, event, facts, exc_info=exc_info)

    def critical(self, event: str, /, *, exc_info: ExcInfo = None, **facts: object) -> None:
        """The process cannot go on."""
        self._write(logging.CRITICAL, event, facts, exc_info=exc_info)

    def exception(self, event: str, /, **facts: object) -> None:
        """An error with the traceback of the exception being handled."""
        self._write(logging.ERROR, event, facts, exc_info=True)

    def _write(
        self, level: int, event: str, facts: Mapping[str, object], *, exc_info: ExcInfo
    ) -> None:
        if self._target.isEnabledFor(level):
            # The event is an argument: it is shown as it is, whatever signs are in it.
            self._target.log(level, "%s", event, exc_info=exc_info, extra={"facts": facts})


def get_logger(name: str) -> Logger:
    """The logger of one module; ``name`` appears as ``module``."""
    return Logger(name)


def configure_logs(service: str, node: str, level: str) -> None:
    """Send our events and those of the libraries to stderr in one format."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = TextFormatter() if sys.stderr.isatty() else JsonFormatter(service, node)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    ours = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    logging.getLogger(_OURS).setLevel(ours)
    # Libraries speak up only when something is wrong; our own level is the one configured.
    root.setLevel(max(ours, logging.WARNING))


class JsonFormatter(logging.Formatter):
    """One line of JSON, in ASCII: nothing a peer sent can break a line or steer a terminal."""

    def __init__(self, service: str, node: str) -> None:
        super().__init__()
        self._origin = {"service": service, "node": node}

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line = {**_head(record), **self._origin}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # A fact never replaces what every line has.
        return json.dumps({**line, **_facts(record), **line}, default=str, skipkeys=True)


class TextFormatter(logging.Formatter):
    """For people: time, level, event, facts."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as coloured text, its traceback below."""
        head = _head(record)
        level = head["level"]
        facts = "".join(f" {name}={value!r}" for name, value in _facts(record).items())
        colour = _COLOURS.get(level, 0)
        text = f"{head['timestamp']} \x1b[{colour}m{level:<8}\x1b[0m {head['event']}{facts}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def _head(record: logging.LogRecord) -> dict[str, str]:
    """What every line has; our own are recognised by the facts that came with them."""
    at = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return {
        "event": record.getMessage(),
        "level": record.levelname.lower(),
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "module" if hasattr(record, "facts") else "logger": record.name,
    }


def _facts(record: logging.LogRecord) -> Mapping[str, object]:
    facts: Mapping[str, object] = getattr(record, "facts", {})
    return facts
