"""The torture messages of RFC 4475, through the layer, as a user agent server sees them."""

from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.signaling.sip.actions import DeliverRequest, Peer, Refused, Send
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Response, parse
from services.signaling.sip.validate import Capabilities
from tests.support.sip_messages import INVITE, parsed_request

TORTURE = Path(__file__).parents[3] / "support/rfc4475"
SOURCE = Peer("udp", "203.0.113.9", 5060)

DELIVERED = 0
DROPPED = -1
EXPECTED = {
    # 3.1.1 valid
    "wsinv": DELIVERED, "intmeth": 501, "esc01": DELIVERED, "escnull": DELIVERED, "esc02": 501,
    "lwsdisp": DELIVERED, "longreq": DELIVERED, "dblreq": DELIVERED, "semiuri": DELIVERED,
    "transports": DELIVERED, "mpart01": DELIVERED, "unreason": DROPPED, "noreason": DROPPED,
    # 3.1.2 invalid
    "badinv01": 400, "clerr": 400, "ncl": 400, "scalar02": 400, "scalarlg": DROPPED,
    "quotbal": 400, "ltgtruri": 400, "lwsruri": 400, "lwsstart": 400, "trws": 400,
    "escruri": 400, "baddate": DELIVERED, "regbadct": 400, "badaspec": 400, "baddn": 400,
    "badvers": 505, "mismatch01": 400, "mismatch02": 501, "bigcode": DROPPED,
    # 3.2 to 3.4: transaction, application and backward compatibility
    "badbranch": DELIVERED, "insuf": 400, "unkscm": 416, "novelsc": 416, "unksm2": DELIVERED,
    "bext01": 420, "invut": 415, "regaut01": DELIVERED, "multi01": 400, "mcl01": 400,
    "bcast": DROPPED, "zeromf": DELIVERED, "cparam01": DELIVERED, "cparam02": DELIVERED,
    "regescrt": DELIVERED, "sdp01": DELIVERED, "inv2543": DELIVERED,
}  # fmt: skip


def layer() -> TransactionLayer:
    numbers = count()
    methods = (*Capabilities().methods, "REGISTER", "MESSAGE")
    return TransactionLayer(
        sent_by="192.0.2.10:5060",
        ids=lambda: f"id{next(numbers)}",
        capabilities=Capabilities(methods=methods),
    )


def outcome(data: bytes) -> int:
    actions = layer().on_message(data, SOURCE, 0.0)
    if any(isinstance(action, DeliverRequest) for action in actions):
        return DELIVERED
    if not actions:
        return DROPPED
    action, *told = actions
    assert isinstance(action, Send)
    # Of a refused INVITE, the keeper of records hears too.
    assert [type(other) for other in told] in ([], [Refused])
    return int(action.data[8:11])


def test_every_message_has_its_expectation() -> None:
    assert {path.stem for path in TORTURE.glob("*.dat")} == set(EXPECTED)


@pytest.mark.parametrize("name, expected", EXPECTED.items(), ids=EXPECTED)
def test_outcome(name: str, expected: int) -> None:
    assert outcome((TORTURE / f"{name}.dat").read_bytes()) == expected


def test_the_archives_message_without_version_is_ignored() -> None:
    assert outcome(b"INVITE sip:user@example.com\r\nTo: sip:j@example.com\r\n\r\n") == DROPPED


@pytest.mark.parametrize(
    "name", [name for name, expected in EXPECTED.items() if expected > 0 and name != "multi01"]
)
def test_a_refusal_echoes_what_it_refuses(name: str) -> None:
    data = (TORTURE / f"{name}.dat").read_bytes()
    action = layer().on_message(data, SOURCE, 0.0)[0]
    assert isinstance(action, Send)
    answer = action.data.split(b"\r\n")
    for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        field = line.lower().partition(b":")[0].strip()
        if field in {b"from", b"f", b"call-id", b"i", b"cseq"}:
            assert line in answer
        elif field in {b"via", b"v", b"to", b"t"}:
            # A tag, or the source and its port, is all that may be added.
            start = line.partition(b";rport")[0]
            assert any(other.startswith(start) for other in answer)


def test_two_bare_cookies_do_not_collide() -> None:
    uas = layer()
    data = (TORTURE / "badbranch.dat").read_bytes()
    for message in (data, data.replace(b"badbranch.", b"other.")):
        assert isinstance(uas.on_message(message, SOURCE, 0.0)[-1], DeliverRequest)


def test_what_the_parser_makes_of_the_valid_ones() -> None:
    def load(name: str) -> bytes:
        return (TORTURE / f"{name}.dat").read_bytes()

    assert parsed_request(load("esc02")).method == "RE%47IST%45R"
    assert parsed_request(load("semiuri")).uri == "sip:user;par=u%40example.net@example.com"
    assert len(parsed_request(load("longreq")).headers("via")) == 34
    assert parsed_request(load("dblreq")).body == b""
    assert parsed_request(load("mpart01")).body.count(b"\0") > 0
    assert [c.count("%00") for c in parsed_request(load("escnull")).headers("contact")] == [1, 2]
    contact = parsed_request(load("cparam01")).contact
    assert contact is not None
    assert (contact.uri, contact.params) == (
        "sip:+19725552222@gw1.example.net",
        {"unknownparam": None},
    )
    inner = parsed_request(load("cparam02")).contact
    assert inner is not None
    assert inner.uri == "sip:+19725552222@gw1.example.net;unknownparam"
    assert parse(load("unreason")).call_id.startswith("unreason")


CORPUS = [path.read_bytes() for path in sorted(TORTURE.glob("*.dat"))] + [INVITE] * 20
PATCHES = st.sampled_from(
    [
        b"",
        b"\0",
        b"\r\n",
        b"\r\n ",
        b"\r",
        b":",
        b";",
        b'"',
        b"<",
        b">",
        b",",
        b"=",
        b" ",
        b"\xff",
        b"@",
        b";tag=",
        b"To: x\r\n",
    ]
) | st.binary(max_size=6)


def read_back(data: bytes) -> tuple[object, str]:
    """A response of ours: what could not be read is echoed as it came, but frames nothing new."""
    try:
        return parse(data, stream=True), ""
    except MalformedMessage as error:
        return error.message, error.reason


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(CORPUS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), PATCHES), max_size=5),
    st.booleans(),
)
def test_no_damage_done_to_a_message_harms_the_layer(
    data: bytes, damage: list[tuple[float, int, bytes]], is_stream: bool
) -> None:
    for where, length, patch in damage:
        at = int(where * len(data))
        data = data[:at] + patch + data[at + length :]
    source = Peer("tcp", "203.0.113.9", 4000, 1) if is_stream else SOURCE
    subject = layer()
    for _ in range(2):
        for action in subject.on_message(data, source, 0.0):
            if not isinstance(action, Send):
                continue
            answer, reason = read_back(action.data)
            assert isinstance(answer, Response), reason
            assert not answer.body
    while (now := subject.deadline) is not None:
        subject.on_timer(now)
    assert subject.transaction_count <= 1
