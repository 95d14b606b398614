"""SIP in WebSocket messages, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from services.signaling.adapters.websocket import WebSocketFramer
from services.signaling.sip import stream
from services.signaling.sip.message import DEFAULT_LIMITS
from services.signaling.sip.stream import Framed, Unframeable

MESSAGE = b"OPTIONS sip:x SIP/2.0\r\n\r\n"


class Browser:
    """The other end, and what it hears."""

    def __init__(self, *subprotocols: str) -> None:
        self.socket = WSConnection(ConnectionType.CLIENT)
        self.framer = WebSocketFramer()
        request = Request(host="h", target="/sip", subprotocols=list(subprotocols))
        self.hello = self.socket.send(request)

    def open(self) -> Browser:
        assert self.framer.feed(self.hello) == []
        self.hear(self.framer.output())
        return self

    def hear(self, data: bytes) -> list[object]:
        self.socket.receive_data(data)
        return list(self.socket.events())


def test_the_handshake_agrees_on_sip() -> None:
    browser = Browser("chat", "sip")
    assert browser.framer.feed(browser.hello[:30]) == []
    assert browser.framer.feed(browser.hello[30:]) == []
    (accepted,) = browser.hear(browser.framer.output())
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == "sip"
    assert browser.framer.is_ready
    assert browser.framer.is_idle


def test_who_does_not_ask_for_sip_is_turned_away() -> None:
    browser = Browser("chat")
    (event,) = browser.framer.feed(browser.hello)
    assert isinstance(event, Unframeable)
    refusal = browser.hear(browser.framer.output())[0]
    assert isinstance(refusal, RejectConnection)
    assert refusal.status_code == 400
    assert browser.framer.feed(b"more") == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/TCP h\r\n\r\n",
        b"\x16\x03\x01" * 20,
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgr\xe4de\r\n\r\n",
    ],
)
def test_what_is_no_handshake_ends_the_connection(garbage: bytes) -> None:
    events = WebSocketFramer().feed(garbage)
    assert [type(event) for event in events] == [Unframeable]


def test_messages_of_both_kinds_whole_and_in_parts() -> None:
    browser = Browser("sip").open()
    send = browser.socket.send
    data = send(TextMessage(data=MESSAGE.decode())) + send(BytesMessage(data=MESSAGE))
    data += send(BytesMessage(data=MESSAGE[:5], message_finished=False))
    assert browser.framer.feed(data) == [Framed(MESSAGE), Framed(MESSAGE)]
    assert not browser.framer.is_idle
    assert browser.framer.feed(send(BytesMessage(data=MESSAGE[5:]))) == [Framed(MESSAGE)]
    assert browser.framer.is_idle


def test_frames_byte_by_byte() -> None:
    browser = Browser("sip").open()
    data = browser.socket.send(TextMessage(data=MESSAGE.decode()))
    events = [event for at in range(len(data)) for event in browser.framer.feed(data[at : at + 1])]
    assert events == [Framed(MESSAGE)]


def test_keep_alives_of_either_kind() -> None:
    browser = Browser("sip").open()
    (event,) = browser.framer.feed(browser.socket.send(Ping(payload=b"x")))
    assert event == stream.Ping(is_answered=True)
    (pong,) = browser.hear(browser.framer.output())
    assert isinstance(pong, Pong)
    for text, expected in (("\r\n\r\n", [stream.Ping()]), ("\r\n", []), ("", [])):
        assert browser.framer.feed(browser.socket.send(TextMessage(data=text))) == expected


def test_text_is_sent_as_text_and_the_rest_as_bytes() -> None:
    browser = Browser("sip").open()
    (text,) = browser.hear(browser.framer.wrap("SIP/2.0 200 Grüße".encode()))
    (binary,) = browser.hear(browser.framer.wrap(b"SIP/2.0 200 \xff"))
    assert isinstance(text, TextMessage)
    assert isinstance(binary, BytesMessage)


def test_a_message_without_end_is_not_kept() -> None:
    browser = Browser("sip").open()
    part = browser.socket.send(BytesMessage(data=b"x" * 10_000, message_finished=False))
    events: list[stream.Event] = []
    for _ in range(DEFAULT_LIMITS.message // 10_000 + 1):
        events += browser.framer.feed(part)
        part = browser.socket.send(BytesMessage(data=b"x" * 10_000, message_finished=False))
    assert events == [Unframeable("Message too large")]
    assert browser.framer._parts == []


def test_a_masked_frame_is_a_must() -> None:
    browser = Browser("sip").open()
    (event,) = browser.framer.feed(b"\x81\x05hello")
    assert isinstance(event, Unframeable)


@given(st.lists(st.binary(max_size=64), max_size=8), st.binary(max_size=8))
def test_nothing_a_peer_sends_is_more_than_an_event(parts: list[bytes], tail: bytes) -> None:
    framer = Browser("sip").open().framer
    for head in (b"\x81\xfe", b"\x82\x80\0\0\0\0", b"\x89\x85", b"\x88\x82", b""):
        for part in parts:
            events = framer.feed(head + part)
            assert all(isinstance(event, stream.Event) for event in events)
        framer.output()
    raw = WebSocketFramer()
    for part in (*parts, tail):
        raw.feed(part)
        raw.output()


def test_the_end_is_said_and_heard() -> None:
    browser = Browser("sip").open()
    browser.framer.close()
    (closed,) = browser.hear(browser.framer.output())
    assert isinstance(closed, CloseConnection)
    other = Browser("sip").open()
    (event,) = other.framer.feed(other.socket.send(CloseConnection(code=1000)))
    assert isinstance(event, Unframeable)
    assert other.framer.output()
