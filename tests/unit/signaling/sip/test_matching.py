from services.signaling.sip.matching import is_ack_of_shed, server_key
from services.signaling.sip.message import Request, parse
from tests.support.sip_messages import INVITE, edited


def request(*changes: tuple[bytes, bytes]) -> Request:
    message = parse(edited(*changes))
    assert isinstance(message, Request)
    return message


def test_an_ack_has_the_key_of_its_invite_and_nothing_else_has() -> None:
    invite = request()
    assert server_key(request((b"INVITE sip", b"ACK sip"))) == server_key(invite)
    others = [
        request((b"INVITE sip", b"CANCEL sip")),
        request((b"z9hG4bK-524287", b"z9hG4bK-524288")),
        request((b"198.51.100.7:5060;branch", b"198.51.100.8:5060;branch")),
    ]
    assert server_key(invite) not in {server_key(other) for other in others}


def test_without_a_cookie_the_whole_request_is_the_key() -> None:
    old = (b"z9hG4bK-524287", b"524287")
    moved = request(old, (b"Call-ID: ", b"Call-ID: x"))
    assert server_key(request(old)) == server_key(request(old)) != server_key(moved)


def test_the_ack_of_a_shed_invite_is_known_at_a_glance() -> None:
    assert is_ack_of_shed(b"ACK sip:x SIP/2.0\r\nTo: <sip:y>;tag=shed.0123\r\n\r\n")
    assert not is_ack_of_shed(INVITE)
