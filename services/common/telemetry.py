"""Metrics that cost the hot path an integer addition, and traces made after the fact.

A counter is an ``int`` attribute its owner increments; telemetry is given a way to read it and
does so only when somebody fetches ``/metrics``. A span is written for a failed or sampled call
once it is over, from the instants the call recorded anyway.
"""

import bisect
import datetime as dt
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from opentelemetry import trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

Attributes: TypeAlias = Mapping[str, str | bool | int | float]
Observe: TypeAlias = Callable[[CallbackOptions], Iterable[Observation]]

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


class _Histograms(Collector):
    """OpenTelemetry has no observable histogram, so these reach the exporter's registry as is."""

    def __init__(self) -> None:
        self.known: list[tuple[str, str, Histogram]] = []

    def collect(self) -> Iterator[HistogramMetricFamily]:
        for name, description, histogram in self.known:
            yield HistogramMetricFamily(
                name, description, buckets=histogram.buckets(), sum_value=histogram.total
            )


class Telemetry:
    """The metrics and traces of one process.

    Metric names carry no prefix (``tandem_<service>_`` is added) and end in their unit.
    """

    def __init__(
        self, service: str, node: str, *, otlp_endpoint: str = "", trace_ratio: float = 0.0
    ) -> None:
        resource = Resource.create({"service.name": service, "service.instance.id": node})
        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(
            disable_target_info=True, scope_info_enabled=False, registry=self._registry
        )
        self._meters = MeterProvider([reader], resource=resource)
        self._meter = self._meters.get_meter(service)
        self._prefix = f"tandem_{service}_"
        self._histograms = _Histograms()
        self._registry.register(self._histograms)
        self._traces = _trace_provider(resource, otlp_endpoint)
        self._trace_ratio = trace_ratio
        self._random = random.Random()  # noqa: S311 - chooses calls to trace, guards nothing

    def counter(self, name: str, description: str, read: Callable[[], int]) -> None:
        """Export what ``read`` returns: a number that only grows."""
        self._meter.create_observable_counter(
            self._prefix + name, [_observe(read)], description=description
        )

    def counter_by(
        self, label: str, name: str, description: str, read: Callable[[], Mapping[str, int]]
    ) -> None:
        """Export growing numbers by the value of one label."""
        self._meter.create_observable_counter(
            self._prefix + name, [_observe_by(label, read)], description=description
        )

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Export what ``read`` returns: a number that goes up and down."""
        self._meter.create_observable_gauge(
            self._prefix + name, [_observe(read)], description=description
        )

    def gauge_by(
        self, label: str, name: str, description: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Export numbers that go up and down, by the value of one label."""
        self._meter.create_observable_gauge(
            self._prefix + name, [_observe_by(label, read)], description=description
        )

    def histogram(
        self, name: str, description: str, bounds: Sequence[float] = LATENCY_BOUNDS_S
    ) -> Histogram:
        """A new histogram, exported for as long as the process lives."""
        histogram = Histogram(bounds)
        self._histograms.known.append((self._prefix + name, description, histogram))
        return histogram

    def exposition(self) -> bytes:
        """Everything in Prometheus text format."""
        return generate_latest(self._registry)

    def sampled(self) -> bool:
        """Whether a call that went well is to be traced; decided once per call."""
        return self._traces is not None and self._random.random() < self._trace_ratio

    @property
    def tracing(self) -> bool:
        """Whether spans go anywhere."""
        return self._traces is not None

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
        if self._traces is None:
            return None
        context = trace.set_span_in_context(NonRecordingSpan(parent)) if parent else None
        span = self._traces.get_tracer("tandem").start_span(
            name, context=context, attributes=dict(attributes or {}), start_time=_unix_ns(start)
        )
        if failure:
            span.set_status(Status(StatusCode.ERROR, failure))
        span.end(end_time=_unix_ns(end))
        return span.get_span_context()

    def close(self) -> None:
        """Send what is left and stop the exporter's thread; may take seconds."""
        if self._traces is not None:
            self._traces.shutdown()
        self._meters.shutdown()


def _trace_provider(resource: Resource, endpoint: str) -> TracerProvider | None:
    if not endpoint:
        return None
    # A third of a second of imports that most processes have no use for.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _observe(read: Callable[[], float]) -> Observe:
    return lambda _options: [Observation(read())]


def _observe_by(label: str, read: Callable[[], Mapping[str, float]]) -> Observe:
    return lambda _options: [Observation(n, {label: value}) for value, n in read().items()]


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def _unix_ns(instant: dt.datetime) -> int:
    # In integers: a float of seconds since 1970 resolves only a quarter of a microsecond.
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
