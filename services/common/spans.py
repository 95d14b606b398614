"""Finished spans, sent to an OTLP/HTTP collector by a thread of its own."""

import datetime as dt

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode
from opentelemetry.util.types import Attributes

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class SpanWriter:
    """Writes spans of work that is over."""

    def __init__(self, service: str, node: str, endpoint: str) -> None:
        """``endpoint`` is the base URL of the collector."""
        resource = Resource.create({"service.name": service, "service.instance.id": node})
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tandem")

    def write(
        self,
        name: str,
        start: dt.datetime,
        end: dt.datetime,
        *,
        attributes: Attributes,
        parent: SpanContext | None,
        failure: str,
    ) -> SpanContext:
        """Queue one span; returns what its children name as ``parent``."""
        context = trace.set_span_in_context(NonRecordingSpan(parent)) if parent else None
        span = self._tracer.start_span(
            name, context=context, attributes=attributes, start_time=_unix_ns(start)
        )
        if failure:
            span.set_status(Status(StatusCode.ERROR, failure))
        span.end(end_time=_unix_ns(end))
        return span.get_span_context()

    def close(self) -> None:
        """Send what is left and stop the thread; may take seconds."""
        self._provider.shutdown()


def _unix_ns(instant: dt.datetime) -> int:
    # In integers: a float of seconds since 1970 resolves only a quarter of a microsecond.
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
