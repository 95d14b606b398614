"""What the caller of a refused call is told."""

from __future__ import annotations

from services.common.causes import EndReason
from services.signaling.core.ingress import Ingress
from services.signaling.core.record import CallRecord
from services.signaling.core.refusing import refused
from services.signaling.sip.message import Response, parse
from tests.support.signaling.machine import CALLER, WALL, context, wire_request


def test_status_and_cause_are_told_and_noted() -> None:
    record = CallRecord("cal_1", "n1", 100.0, WALL)
    ingress = Ingress(wire_request("INVITE"), "invite", CALLER, context())
    reply = refused(
        ingress, record, EndReason.NO_ROUTE, 101.0, status=0, lost=None, headers=(), side="server"
    )
    told = parse(reply.data)
    assert isinstance(told, Response)
    assert (told.status, told.first("reason")) == (503, "Q.850;cause=41")
    assert (record.end_reason, record.ended_at) == (EndReason.NO_ROUTE, 101.0)
    assert (record.sip_code_out, record.q850_out) == (503, 41)


def test_headers_of_its_own_go_along() -> None:
    record = CallRecord("cal_1", "n1", 100.0, WALL)
    ingress = Ingress(wire_request("INVITE"), "invite", CALLER, context())
    reply = refused(
        ingress, record, EndReason.REDIRECTED, 101.0, status=302, lost=None,
        headers=["Contact: <sip:1@192.0.2.1>"], side="server",
    )  # fmt: skip
    assert b"\r\nContact: <sip:1@192.0.2.1>\r\n" in reply.data
    assert record.sip_code_out == 302
