"""Structured logs on stderr: one JSON object per line, or readable text on a terminal.

Events have names, not sentences: ``log.info("spool.recovered", batches=3)``. INFO is at most
once per call; numbers and SDP never appear at INFO.
"""

import logging
import sys

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger, Processor, WrappedLogger

_encode = msgspec.json.Encoder(enc_hook=str).encode


def get_logger(name: str) -> FilteringBoundLogger:
    """The logger of one module; ``name`` appears as ``module``."""
    logger: FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


def configure_logs(service: str, node: str, level: str) -> None:
    """Send our events and those of the libraries to stderr in one format."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_level(level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=_rendering(service, node, to_terminal=sys.stderr.isatty()),
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak up only when something is wrong; our own level is the one configured.
    root.setLevel(max(_level(level), logging.INFO))


def _level(name: str) -> int:
    return logging.getLevelNamesMapping().get(name.upper(), logging.INFO)


def _rendering(service: str, node: str, *, to_terminal: bool) -> list[Processor]:
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if to_terminal:
        return [remove, structlog.dev.ConsoleRenderer()]

    def name_origin(
        _logger: WrappedLogger, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["service"] = service
        event["node"] = node
        return event

    return [
        remove,
        name_origin,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=_to_json),
    ]


def _to_json(event: object, **_: object) -> str:
    return _encode(event).decode()
