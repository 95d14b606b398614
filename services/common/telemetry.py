"""Metrics that cost the hot path an integer addition, and traces made after the fact.

A counter is an ``int`` attribute its owner increments; telemetry is given a way to read it and
does so only when somebody fetches ``/metrics``. A span is written for a failed or sampled call
once it is over, from the instants the call recorded anyway.

The text format of Prometheus is a few lines of code: the metrics SDK and the exporter that would
write it cost every process 80 ms at its start, and memory for good.
"""

from __future__ import annotations

import bisect
import datetime as dt
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from services.common.spans import SpanWriter

Attributes: TypeAlias = Mapping[str, str | bool | int | float]

LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds that suit anything from a lookup to a post-dial delay."""


class Histogram:
    """Counts per fixed bucket: half a microsecond for each :meth:`record`."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(sorted(bounds))
        self.counts = [0] * (len(self._bounds) + 1)
        """Per bucket, not cumulated; the last one is for what exceeds every bound."""
        self.total = 0.0

    def record(self, value: float) -> None:
        """Count ``value``; a bound belongs to the bucket below it."""
        self.counts[bisect.bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulated counts by upper bound, as Prometheus wants them."""
        seen = 0
        out: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self.counts, strict=True):
            seen += count
            out.append((bound, seen))
        return out


@dataclass(frozen=True, slots=True)
class _Sample:
    """One number of a metric: what follows its name, one label at most, and the value."""

    value: float
    suffix: str = ""
    label: str = ""
    label_value: str = ""


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    kind: str
    """``counter``, ``gauge`` or ``histogram``."""
    description: str
    read: Callable[[], Iterable[_Sample]]

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {_escaped(self.description)}"
        yield f"# TYPE {self.name} {self.kind}"
        for sample in self.read():
            name = self.name + sample.suffix
            if sample.label:
                value = _escaped(sample.label_value).replace('"', '\\"')
                name += f'{{{sample.label}="{value}"}}'
            yield f"{name} {_number(sample.value)}"


class Telemetry:
    """The metrics and traces of one process.

    Metric names carry no prefix (``tandem_<service>_`` is added) and end in their unit.
    """

    def __init__(
        self, service: str, node: str, *, otlp_endpoint: str = "", trace_ratio: float = 0.0
    ) -> None:
        self._metrics: dict[str, _Metric] = {}
        self._prefix = f"tandem_{service}_"
        self._spans = _span_writer(service, node, otlp_endpoint)
        self._trace_ratio = trace_ratio
        self._random = random.Random()  # noqa: S311 - chooses calls to trace, guards nothing

    def counter(self, name: str, description: str, read: Callable[[], int]) -> None:
        """Export what ``read`` returns: a number that only grows."""
        self._add(_total(name), "counter", description, lambda: [_Sample(read())])

    def counter_by(
        self, label: str, name: str, description: str, read: Callable[[], Mapping[str, int]]
    ) -> None:
        """Export growing numbers by the value of one label."""
        self._add(_total(name), "counter", description, lambda: _labelled(label, read()))

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Export what ``read`` returns: a number that goes up and down."""
        self._add(name, "gauge", description, lambda: [_Sample(read())])

    def gauge_by(
        self, label: str, name: str, description: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Export numbers that go up and down, by the value of one label."""
        self._add(name, "gauge", description, lambda: _labelled(label, read()))

    def histogram(
        self, name: str, description: str, bounds: Sequence[float] = LATENCY_BOUNDS_S
    ) -> Histogram:
        """A new histogram, exported for as long as the process lives."""
        histogram = Histogram(bounds)
        self._add(name, "histogram", description, lambda: _distribution(histogram))
        return histogram

    def _add(
        self, name: str, kind: str, description: str, read: Callable[[], Iterable[_Sample]]
    ) -> None:
        full = self._prefix + name
        if full in self._metrics:
            raise ValueError(f"{full} exists: a reader would refuse the whole page")
        self._metrics[full] = _Metric(full, kind, description, read)

    def exposition(self) -> bytes:
        """Everything in Prometheus text format."""
        lines = [line for metric in self._metrics.values() for line in metric.lines()]
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")

    def sampled(self) -> bool:
        """Whether a call that went well is to be traced; decided once per call."""
        return self._spans is not None and self._random.random() < self._trace_ratio

    @property
    def tracing(self) -> bool:
        """Whether spans go anywhere."""
        return self._spans is not None

    def record_span(
        self,
        name: str,
        start: dt.datetime,
        end: dt.datetime,
        *,
        attributes: Attributes | None = None,
        parent: SpanContext | None = None,
        failure: str = "",
    ) -> SpanContext | None:
        """Write a span that is over; returns what its children name as ``parent``.

        ``None`` when no collector is configured. Sending happens in a thread of its own.
        """
        if self._spans is None:
            return None
        return self._spans.write(
            name, start, end, attributes=attributes or {}, parent=parent, failure=failure
        )

    def close(self) -> None:
        """Send what is left and stop the exporter's thread; may take seconds."""
        if self._spans is not None:
            self._spans.close()


def _span_writer(service: str, node: str, endpoint: str) -> SpanWriter | None:
    if not endpoint:
        return None
    # 150 ms of imports (several times that uncompiled) that most processes have no use for.
    from services.common.spans import SpanWriter

    return SpanWriter(service, node, endpoint)


def _total(name: str) -> str:
    return name if name.endswith("_total") else f"{name}_total"


def _labelled(label: str, numbers: Mapping[str, float]) -> list[_Sample]:
    return [_Sample(n, label=label, label_value=value) for value, n in numbers.items()]


def _distribution(histogram: Histogram) -> list[_Sample]:
    buckets = histogram.buckets()
    return [
        *(_Sample(seen, "_bucket", "le", bound) for bound, seen in buckets),
        _Sample(buckets[-1][1], "_count"),
        _Sample(histogram.total, "_sum"),
    ]


def _escaped(text: str) -> str:
    return str(text).replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    # Python writes "inf" and "nan"; the format is read by Go's ParseFloat, which takes both.
    return repr(float(value))
