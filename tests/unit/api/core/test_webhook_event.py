import datetime as dt
import json

import msgspec

from services.api.core.webhook_event import tell, tell_test, wants
from services.common.events import Attempt, CallAnswered, CallEnded, CallRinging, CallStarted

AT = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def test_setup() -> None:
    told = tell(CallStarted(call_id="cal_1", node="n", invited_at=AT, caller="1", called="2"))
    assert (told.event_id, told.event_type, told.call_id) == ("cal_1/setup", "call.setup", "cal_1")
    body = json.loads(told.body)
    assert body["type"] == "call.setup"
    assert body["timestamp"] == "2030-01-01T00:00:00Z"
    assert body["data"]["caller"] == "1"


def test_each_ringing_is_an_event_of_its_own() -> None:
    one = CallRinging(call_id="cal_1", node="n", ringing_at=AT, status=180, vendor_trunk_id="v1")
    two = msgspec.structs.replace(one, vendor_trunk_id="v2")
    assert tell(one).event_id == tell(one).event_id
    assert tell(one).event_id != tell(two).event_id


def test_answer() -> None:
    told = tell(
        CallAnswered(
            call_id="cal_1",
            node="n",
            invited_at=AT,
            answered_at=AT + dt.timedelta(seconds=3),
            customer_trunk_id="c",
            account_id="a",
            vendor_trunk_id="v",
            vendor_account_id="w",
            caller="1",
            called="2",
            sell_terms=msgspec.Raw(b"{}"),
            buy_terms=msgspec.Raw(b"{}"),
            reservation_id="r",
        )
    )
    body = json.loads(told.body)
    assert (body["type"], body["timestamp"]) == ("call.answer", "2030-01-01T00:00:03Z")
    # What we pay the vendor is nobody's business.
    assert "terms" not in told.body.decode()


def test_end_names_the_vendor_that_answered() -> None:
    tries = tuple(
        Attempt(vendor_trunk_id=name, account_id="a", target="t", started_at=AT) for name in "xy"
    )
    ended = CallEnded(
        call_id="cal_1", node="n", invited_at=AT, ended_at=AT, end_reason="normal", attempts=tries
    )
    data = json.loads(tell(msgspec.structs.replace(ended, answered_attempt=1)).body)["data"]
    assert (data["vendor_trunk_id"], data["attempts"], data["end_reason"]) == ("y", 2, "normal")
    assert json.loads(tell(ended).body)["data"]["vendor_trunk_id"] == ""


def test_wants() -> None:
    assert wants((), "call.end")
    assert wants(("call.end",), "call.end")
    assert not wants(("call.end",), "call.setup")


def test_test_message() -> None:
    assert json.loads(tell_test("whk_1", "evt_1", AT).body)["data"]["webhook_id"] == "whk_1"
