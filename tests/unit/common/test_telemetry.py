import datetime as dt

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.common.telemetry import Histogram, Telemetry


def samples(telemetry: Telemetry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(telemetry.exposition().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_counter_is_read_only_when_asked_for() -> None:
    telemetry = Telemetry("signaling", "n1")
    calls = [0]
    telemetry.counter("messages", "SIP messages received", lambda: calls[0])
    calls[0] = 41
    assert samples(telemetry)[("tandem_signaling_messages_total", ())] == 41
    calls[0] += 1
    assert samples(telemetry)[("tandem_signaling_messages_total", ())] == 42


def test_counter_by_label_follows_its_mapping() -> None:
    telemetry = Telemetry("signaling", "n1")
    by_reason = {"busy": 2}
    telemetry.counter_by("reason", "calls_ended", "Calls ended", lambda: by_reason)
    by_reason["normal"] = 3
    found = samples(telemetry)
    assert found[("tandem_signaling_calls_ended_total", (("reason", "busy"),))] == 2
    assert found[("tandem_signaling_calls_ended_total", (("reason", "normal"),))] == 3


def test_gauge_goes_down_too() -> None:
    telemetry = Telemetry("media", "n1")
    level = [5.5]
    telemetry.gauge("sessions", "Sessions", lambda: level[0])
    assert samples(telemetry)[("tandem_media_sessions", ())] == 5.5
    level[0] = 1.0
    assert samples(telemetry)[("tandem_media_sessions", ())] == 1.0


def test_histogram_is_exported_with_cumulated_buckets() -> None:
    telemetry = Telemetry("signaling", "n1")
    pdd = telemetry.histogram("pdd_seconds", "Post-dial delay", (0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 3.0):
        pdd.record(value)
    found = samples(telemetry)
    name = "tandem_signaling_pdd_seconds"
    assert [found[(f"{name}_bucket", (("le", bound),))] for bound in ("0.1", "1.0", "+Inf")] == [
        2, 3, 4,
    ]  # fmt: skip
    assert found[(f"{name}_count", ())] == 4
    assert found[(f"{name}_sum", ())] == pytest.approx(3.65)


def test_two_processes_in_one_share_nothing() -> None:
    one, two = Telemetry("api", "n1"), Telemetry("api", "n2")
    one.counter("requests", "Requests", lambda: 1)
    assert ("tandem_api_requests_total", ()) not in samples(two)


def test_histogram_counts_nothing_to_begin_with() -> None:
    assert Histogram((1.0,)).buckets() == [("1.0", 0), ("+Inf", 0)]


def test_without_collector_no_span_is_made_and_no_call_sampled() -> None:
    telemetry = Telemetry("signaling", "n1", trace_ratio=1.0)
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert telemetry.record_span("call", at, at) is None
    assert not telemetry.sampled()


def test_text_of_others_cannot_break_the_page() -> None:
    telemetry = Telemetry("rating", "n1")
    hostile = 'x"} 1\ntandem_forged 1\\'
    telemetry.gauge_by("currency", "leased", "Money\nheld", lambda: {hostile: 2.0})
    assert samples(telemetry) == {("tandem_rating_leased", (("currency", hostile),)): 2.0}


def test_counter_is_named_total_once() -> None:
    telemetry = Telemetry("rating", "n1")
    telemetry.counter("settled_total", "Settled", lambda: 1)
    assert list(samples(telemetry)) == [("tandem_rating_settled_total", ())]
    with pytest.raises(ValueError, match="tandem_rating_settled_total exists"):
        telemetry.counter("settled", "Settled", lambda: 2)
