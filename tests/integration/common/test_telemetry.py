"""Spans as a collector receives them."""

import datetime as dt
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from services.common.telemetry import Telemetry

START = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
END = START + dt.timedelta(seconds=61, microseconds=1)


class Collector:
    """A server that speaks OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        spans.extend(scope.spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    yield server
    server.close()


def test_span_of_a_failed_call_arrives_with_its_child_and_its_instants(
    collector: Collector,
) -> None:
    telemetry = Telemetry("signaling", "sig-1", otlp_endpoint=collector.endpoint)
    parent = telemetry.record_span(
        "call", START, END, attributes={"call_id": "cal_1", "sip_code": 503}, failure="no_route"
    )
    telemetry.record_span("plan", START, START, parent=parent)
    telemetry.close()
    by_name = {span.name: span for span in collector.spans}
    call, plan = by_name["call"], by_name["plan"]
    assert call.start_time_unix_nano == 1767323045678901000
    assert call.end_time_unix_nano - call.start_time_unix_nano == 61_000_001_000
    assert (call.status.code, call.status.message) == (Status.STATUS_CODE_ERROR, "no_route")
    assert plan.parent_span_id == call.span_id
    assert plan.trace_id == call.trace_id


def test_share_of_sampled_calls_is_the_one_configured(collector: Collector) -> None:
    never = Telemetry("s", "n", otlp_endpoint=collector.endpoint, trace_ratio=0.0)
    always = Telemetry("s", "n", otlp_endpoint=collector.endpoint, trace_ratio=1.0)
    assert not any(never.sampled() for _ in range(1000))
    assert all(always.sampled() for _ in range(1000))
    never.close()
    always.close()
