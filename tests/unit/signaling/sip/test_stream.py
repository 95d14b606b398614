import pytest

from services.signaling.sip.message import Limits
from services.signaling.sip.stream import Framed, Framer, Ping, Unframeable
from tests.support.sip_messages import INVITE, edited

BODILESS = edited((b"Content-Length: 5\r\n\r\nv=0\r\n", b"l : 0\r\n\r\n"))


def test_messages_are_cut_wherever_the_bytes_break() -> None:
    data = INVITE + BODILESS + b"\r\n\r\n" + INVITE
    expected = [Framed(INVITE), Framed(BODILESS), Ping(), Framed(INVITE)]
    for size in (1, 2, 3, 7, 100, len(data)):
        framer = Framer()
        events = [
            event
            for at in range(0, len(data), size)
            for event in framer.feed(data[at : at + size])
        ]
        assert events == expected
        assert framer.is_idle


def test_a_single_line_break_is_padding() -> None:
    framer = Framer()
    assert framer.feed(b"\r\n" + INVITE) == [Framed(INVITE)]
    assert framer.feed(b"\r\n") == []
    assert framer.feed(b"\r\n") == [Ping()]


def test_half_a_message_waits() -> None:
    framer = Framer()
    assert framer.feed(INVITE[:-1]) == []
    assert not framer.is_idle
    assert framer.feed(INVITE[-1:]) == [Framed(INVITE)]


def test_a_folded_length_is_read() -> None:
    data = edited((b"Content-Length: 5", b"CONTENT-LENGTH\t:\r\n  5 "))
    assert Framer().feed(data) == [Framed(data)]


@pytest.mark.parametrize(
    "old, new, reason",
    [
        (b"Content-Length: 5", b"X: 5", "Content-Length missing"),
        (b"Content-Length: 5", b"Content-Length: 5\r\nl: 9", "Content-Length repeated"),
        (b"Content-Length: 5", b"Content-Length: -999", "Content-Length malformed"),
        (b"Content-Length: 5", b"Content-Length:", "Content-Length malformed"),
        (b"Content-Length: 5", b"Content-Length: 4294967301", "Message too large"),
        (b"Content-Length: 5", b"Content-Length: 99999999999", "Content-Length malformed"),
        (b"INVITE sip", b"\rINVITE sip", "Stray carriage return"),
    ],
)
def test_what_cannot_be_framed_closes(old: bytes, new: bytes, reason: str) -> None:
    framer = Framer()
    assert framer.feed(BODILESS + edited((old, new))) == [Framed(BODILESS), Unframeable(reason)]
    assert framer.is_broken
    assert framer.feed(INVITE) == []


def test_a_head_without_end_is_bounded() -> None:
    framer = Framer(Limits(message=1000))
    assert framer.feed(b"x" * 1000) == []
    assert framer.feed(b"x") == [Unframeable("Head too large")]
    assert framer.is_idle


def test_many_pings_at_once() -> None:
    assert Framer().feed(b"\r\n\r\n" * 5000) == [Ping()] * 5000
