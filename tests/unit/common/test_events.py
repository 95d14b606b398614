import datetime as dt
from decimal import Decimal

import msgspec
import pytest

from services.common import events

AT = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)


def ended(**changes: object) -> events.CallEnded:
    fields: dict[str, object] = {
        "call_id": "cal_1",
        "node": "sig-1",
        "invited_at": AT,
        "ended_at": AT,
        "end_reason": "normal",
    }
    return events.CallEnded(**{**fields, **changes})  # type: ignore[arg-type]


def test_ended_batch_survives_the_wire() -> None:
    attempt = events.Attempt(
        vendor_trunk_id="vtr_1",
        account_id="acc_2",
        target="192.0.2.1:5060;udp",
        started_at=AT,
        sip_code=200,
        buy_terms=msgspec.Raw(b'{"rate_id":7}'),
    )
    call = ended(
        answered_at=AT,
        talk_ms=61_001,
        attempts=(attempt,),
        answered_attempt=0,
        sell_terms=msgspec.Raw(b'{"rate_id":3}'),
        media_caller=events.StreamStats(packets=3, jitter_ms=1.5, first_at=AT),
    )
    batch = events.EndedBatch(node="sig-1", epoch=3, seq=17, events=[call])
    assert events.decode_ended(events.encode(batch)) == batch


def test_opaque_terms_travel_byte_by_byte() -> None:
    terms = b'{"first_price":"0.0100000000","x":  [1]}'
    batch = events.EndedBatch(
        node="n", epoch=1, seq=1, events=[ended(sell_terms=msgspec.Raw(terms))]
    )
    assert bytes(events.decode_ended(events.encode(batch)).events[0].sell_terms) == terms


def test_progress_events_are_told_apart_by_their_tag() -> None:
    told: list[events.CallStarted | events.CallRinging | events.CallAnswered] = [
        events.CallStarted(call_id="c", node="n", invited_at=AT),
        events.CallRinging(
            call_id="c", node="n", ringing_at=AT, status=183, vendor_trunk_id="vtr_1"
        ),
    ]
    batch = events.ProgressBatch(node="n", epoch=1, seq=2, events=told)
    assert events.decode_progress(events.encode(batch)).events == told


def test_money_in_a_record_stays_decimal() -> None:
    charge = events.Charge(
        account_id="acc_1",
        currency="EUR",
        amount=Decimal("0.0123456789"),
        billed_s=60,
        rate_id=1,
        deck_id="dck_1",
        prefix="49",
        price=Decimal("0.0100"),
    )
    rated = events.CdrRated(call=ended(), customer=charge, rated_at=AT)
    batch = events.RatedBatch(node="n", epoch=1, seq=1, events=[rated])
    encoded = events.encode(batch)
    assert b'"amount":"0.0123456789"' in encoded
    assert events.decode_rated(encoded) == batch


def test_instants_are_written_in_utc() -> None:
    assert b'"ended_at":"2026-01-02T03:04:05.678901Z"' in events.encode(ended())


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{}",
        b'{"node":"n","epoch":1,"seq":1,"events":[{"type":"rated"}]}',
        b'{"node":"n","epoch":1,"seq":1,"events":[{"type":"ended","call_id":"c"}]}',
        b'{"node":"n","epoch":"1","seq":1,"events":[]}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_batch_is_refused(message: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        events.decode_ended(message)


@pytest.mark.parametrize("field", ["invited_at", "ringing_at", "answered_at", "ended_at"])
def test_an_instant_without_a_zone_is_refused(field: str) -> None:
    call = ended(ringing_at=AT, answered_at=AT)
    encoded = events.encode(events.EndedBatch(node="n", epoch=1, seq=1, events=[call]))
    zoned = f'"{field}":"2026-01-02T03:04:05.678901Z"'.encode()
    assert zoned in encoded
    with pytest.raises(msgspec.ValidationError, match=field):
        events.decode_ended(encoded.replace(zoned, zoned.replace(b"Z", b"")))
    # Any zone will do.
    elsewhere = events.decode_ended(encoded.replace(b'1Z"', b'1+02:00"')).events[0].ended_at
    assert elsewhere == AT - dt.timedelta(hours=2)


def test_every_instant_of_every_event_has_to_have_a_zone() -> None:
    structs = [
        msgspec.inspect.type_info(one)
        for one in vars(events).values()
        if isinstance(one, type) and issubclass(one, msgspec.Struct)
    ]
    instants = {
        (struct.cls.__name__, field.name): kind.tz
        for struct in structs
        if isinstance(struct, msgspec.inspect.StructType)
        for field in struct.fields
        for kind in getattr(field.type, "types", (field.type,))
        if isinstance(kind, msgspec.inspect.DateTimeType)
    }
    assert {("CallEnded", "answered_at"), ("Attempt", "started_at")} <= instants.keys()
    assert set(instants.values()) == {True}


def test_message_id_names_node_start_and_batch() -> None:
    assert events.message_id("sig-1", 3, 17) == "sig-1/3/17"


def test_config_changed_carries_the_revision() -> None:
    assert events.decode_config_changed(b'{"revision":9,"new":1}').revision == 9
