"""Who may call or register."""

from __future__ import annotations

import msgspec
import pytest

from services.common.digest import ALGORITHMS, every_ha1
from services.common.sip_options.auth import CustomerAuth
from services.common.sip_options.trunk import CustomerSip
from services.signaling.core.authentication import (
    Admitted,
    Authenticator,
    Challenged,
    Verdict,
    is_username_of,
)
from services.signaling.core.nonces import LIFETIME_S
from services.signaling.core.trunks import CustomerTrunk, DigestRules, DigestUser, TrunkTable
from services.signaling.sip.actions import Peer
from services.signaling.sip.digest import authorization, challenges_of
from services.signaling.sip.message import Request, Response, parse
from services.signaling.sip.uri import parse_sip_uri
from tests.support.signaling.machine import wire_request

PHONE = Peer("udp", "203.0.113.9", 5070, 1)
NOW = 1_800_000_000.0
ALICE = CustomerTrunk(id="ctr_a", account_id="acc_1")
BOB = CustomerTrunk(
    id="ctr_b",
    account_id="acc_2",
    sip=CustomerSip(auth=CustomerAuth(only_from_addresses=True)),
)


def user(name: str, trunk: CustomerTrunk, realm: str = "sip") -> DigestUser:
    return DigestUser(trunk=trunk, realm=realm, ha1=every_ha1(name, realm, f"{name}-secret"))


RULES = DigestRules(
    nonce_key=b"k",
    users={
        "alice": user("alice", ALICE),
        "desk": user("desk", ALICE),
        "bob": user("bob", BOB),
        "old": user("old", ALICE, realm="before"),
    },
)
TABLE = TrunkTable({"192.0.2.7": BOB}, digest=RULES)


def gate() -> Authenticator:
    return Authenticator(lambda: "0123456789abcdef")


def challenged(verdict: Verdict) -> Challenged:
    assert isinstance(verdict, Challenged)
    return verdict


def respond(
    verdict: Verdict,
    username: str = "alice",
    password: str = "",
    *,
    algorithm: str = "MD5",
    method: str = "INVITE",
    uri: str = "sip:2000@203.0.113.1",
    count: int = 1,
) -> Request:
    """The request again, as the telephone would write it after this challenge."""
    lines = ["SIP/2.0 401 Unauthorized", *challenged(verdict).headers, "Via: a", "From: a",
             "To: a", "Call-ID: a", "CSeq: 1 A", "", ""]  # fmt: skip
    message = parse("\r\n".join(lines).encode())
    assert isinstance(message, Response)
    (challenge,) = [one for one in challenges_of(message) if one.algorithm == algorithm]
    line = authorization(
        challenge,
        username=username,
        password=password or f"{username}-secret",
        method=method,
        uri=uri,
        cnonce="c",
        count=count,
    )
    return wire_request(method, headers=[line])


def ask(here: Authenticator, source: Peer = PHONE, at: float = NOW) -> Verdict:
    return here.prove(TABLE, wire_request("INVITE"), source, at)


def test_a_request_without_proof_is_challenged_with_every_algorithm() -> None:
    verdict = challenged(ask(gate()))
    assert [line.partition("algorithm=")[2].partition(",")[0] for line in verdict.headers] == list(
        ALGORITHMS
    )
    assert verdict.tried is None
    assert not any("stale" in line for line in verdict.headers)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_right_password_admits_the_trunk_of_the_credential(algorithm: str) -> None:
    here = gate()
    again = respond(ask(here), algorithm=algorithm)
    assert again.from_.uri == "sip:1000@192.0.2.10"  # From says somebody else, and counts nothing
    assert here.prove(TABLE, again, PHONE, NOW) == Admitted(ALICE, "alice")


def test_a_challenge_of_one_node_is_answered_at_another() -> None:
    again = respond(ask(gate()))
    assert isinstance(gate().prove(TABLE, again, PHONE, NOW + 1), Admitted)


def test_unknown_user_and_wrong_password_are_answered_alike() -> None:
    here = gate()
    first = ask(here)
    unknown = challenged(here.prove(TABLE, respond(first, "nobody"), PHONE, NOW))
    wrong = challenged(here.prove(TABLE, respond(first, "alice", "falsch"), PHONE, NOW))
    outside = challenged(here.prove(TABLE, respond(first, "bob"), PHONE, NOW))
    realm = challenged(here.prove(TABLE, respond(first, "old"), PHONE, NOW))
    assert unknown.headers == wrong.headers == outside.headers == realm.headers
    assert [one.tried for one in (unknown, wrong, outside)] == ["nobody", "alice", "bob"]


def test_credentials_may_be_good_only_from_the_addresses_of_their_trunk() -> None:
    here, home = gate(), Peer("udp", "192.0.2.7", 5060, 1)
    again = respond(ask(here, home), "bob")
    assert here.prove(TABLE, again, home, NOW) == Admitted(BOB, "bob")


def test_a_replay_is_refused_as_stale() -> None:
    here = gate()
    again = respond(ask(here))
    assert isinstance(here.prove(TABLE, again, PHONE, NOW), Admitted)
    replayed = challenged(here.prove(TABLE, again, PHONE, NOW))
    assert all("stale=true" in line for line in replayed.headers)
    assert replayed.tried is None
    # The next count of the same nonce is good.
    assert isinstance(here.prove(TABLE, respond(ask(here), count=2), PHONE, NOW), Admitted)


def test_an_old_nonce_is_stale_only_for_who_knows_the_password() -> None:
    here = gate()
    first, later = ask(here), NOW + LIFETIME_S + 1
    old = challenged(here.prove(TABLE, respond(first), PHONE, later))
    assert (old.is_stale, old.tried) == (True, None)
    assert all("stale=true" in line for line in old.headers)
    wrong = challenged(here.prove(TABLE, respond(first, password="x"), PHONE, later))
    # Nobody is blamed for what may have been made up without ever hearing us.
    assert (wrong.is_stale, wrong.tried) == (False, None)
    assert not any("stale" in line for line in wrong.headers)


def test_a_suspended_user_cannot_be_proven() -> None:
    here = gate()
    again = respond(ask(here))
    verdict = challenged(here.prove(TABLE, again, PHONE, NOW, lambda user: user == "alice"))
    assert verdict.tried == "alice"
    assert isinstance(here.prove(TABLE, again, PHONE, NOW, lambda user: user == "bob"), Admitted)


def test_a_nonce_overheard_is_of_no_use_elsewhere() -> None:
    here = gate()
    again = respond(ask(here))
    verdict = challenged(here.prove(TABLE, again, Peer("udp", "198.51.100.66", 5060, 1), NOW))
    assert all("stale=true" in line for line in verdict.headers)


def test_an_answer_for_another_number_or_method_does_not_fit() -> None:
    here = gate()
    tricked = respond(ask(here), uri="sip:3000@203.0.113.1")
    assert isinstance(here.prove(TABLE, tricked, PHONE, NOW), Challenged)
    bye = respond(ask(here), method="BYE")
    moved = wire_request("INVITE", headers=bye.raw_lines("authorization"))
    assert isinstance(here.prove(TABLE, moved, PHONE, NOW), Challenged)


@pytest.mark.parametrize("uri", ["sip:203.0.113.1", "sip:2000@other:5080;transport=udp"])
def test_the_hashed_uri_may_name_the_domain_alone_or_another_host(uri: str) -> None:
    here = gate()
    assert isinstance(here.prove(TABLE, respond(ask(here), uri=uri), PHONE, NOW), Admitted)


def test_md5_can_be_ruled_out() -> None:
    here = gate()
    strong = msgspec.structs.replace(RULES, algorithms=ALGORITHMS[:2])
    table = TrunkTable({}, digest=strong)
    weak = respond(ask(here))
    verdict = challenged(here.prove(table, weak, PHONE, NOW))
    assert "MD5" not in str(verdict.headers)
    # What was stripped from the offer on the way cannot be used either.


def test_answers_to_others_are_left_alone() -> None:
    here = gate()
    line = 'Authorization: Digest username="alice", realm="elsewhere", nonce="n", uri="sip:x",' \
        ' response="0", cnonce="c", qop=auth, nc=00000001'  # fmt: skip
    verdict = here.prove(TABLE, wire_request("INVITE", headers=[line]), PHONE, NOW)
    assert challenged(verdict).tried is None


def test_who_may_register_what() -> None:
    assert is_username_of(TABLE, "alice", parse_sip_uri("sip:alice@anything"))
    assert is_username_of(TABLE, "alice", parse_sip_uri("sip:desk@anything"))
    assert not is_username_of(TABLE, "alice", parse_sip_uri("sip:bob@anything"))
    assert not is_username_of(TABLE, "alice", parse_sip_uri("sip:nobody@anything"))
    assert not is_username_of(TABLE, "alice", parse_sip_uri("sip:anything"))
