"""Digest text in and out, hostile text included."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.digest import ALGORITHMS, every_ha1
from services.signaling.sip.digest import (
    LARGEST_COUNT,
    LONGEST,
    Challenge,
    Credentials,
    authorization,
    challenge_lines,
    challenges_of,
    choose,
    credentials_of,
    is_proven,
)
from services.signaling.sip.message import Request, Response, parse

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"


def response(*headers: str, status: int = 401) -> Response:
    lines = [
        f"SIP/2.0 {status} Unauthorized",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
        "From: <sip:a@example.org>;tag=1",
        "To: <sip:b@example.org>;tag=2",
        "Call-ID: 1",
        "CSeq: 1 INVITE",
        *headers,
        "",
        "",
    ]
    message = parse("\r\n".join(lines).encode("latin-1"))
    assert isinstance(message, Response)
    return message


def request(*headers: str, method: str = "INVITE") -> Request:
    lines = [
        f"{method} sip:b@example.org SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
        "From: <sip:a@example.org>;tag=1",
        "To: <sip:b@example.org>",
        "Call-ID: 1",
        f"CSeq: 1 {method}",
        *headers,
        "",
        "",
    ]
    message = parse("\r\n".join(lines).encode("latin-1"))
    assert isinstance(message, Request)
    return message


def only(*headers: str) -> Credentials:
    (found,) = credentials_of(request(*headers))
    return found


# --- known answers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "answer"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616_section_3_9_1(algorithm: str, answer: str) -> None:
    challenge = Challenge("http-auth@example.org", NONCE, algorithm, algorithm)
    line = authorization(
        challenge,
        username="Mufasa",
        password="Circle of Life",
        method="GET",
        uri="/dir/index.html",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        count=1,
    )
    assert f'response="{answer}"' in line


def test_a_peer_of_rfc_2069_is_answered_without_qop() -> None:
    challenge = Challenge("testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "MD5",
                          has_qop=False)  # fmt: skip
    line = authorization(challenge, username="Mufasa", password="CircleOfLife", method="GET",
                         uri="/dir/index.html", cnonce="x", count=1)  # fmt: skip
    # The value of RFC 2069 section 2.4 as its errata have it.
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in line
    assert "qop" not in line
    assert "cnonce" not in line
    assert "algorithm" not in line


@pytest.mark.parametrize("session", ["", "-sess"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_both_sides_agree(algorithm: str, session: str) -> None:
    (offer,) = [
        line.replace(f"algorithm={algorithm}", f"algorithm={algorithm}{session}")
        for line in challenge_lines("sip", "abc", ALGORITHMS)
        if f"algorithm={algorithm}," in line
    ]
    (challenge,) = challenges_of(response(offer))
    line = authorization(challenge, username="alice", password="geheim", method="INVITE",
                         uri="sip:b@example.org", cnonce="0a4f113b", count=1)  # fmt: skip
    proof = only(line)
    key = every_ha1("alice", "sip", "geheim")[algorithm]
    assert (proof.username, proof.nc, proof.is_session) == ("alice", 1, bool(session))
    assert is_proven(proof, "INVITE", key)
    assert not is_proven(proof, "BYE", key)
    assert not is_proven(proof, "INVITE", every_ha1("alice", "sip", "falsch")[algorithm])
    assert not is_proven(proof._replace(nc_text="00000002"), "INVITE", key)
    assert not is_proven(proof._replace(response="\u0131" * 64), "INVITE", key)


# --- the client --------------------------------------------------------------------------


def test_the_strongest_challenge_is_answered() -> None:
    offered = challenges_of(response(*reversed(challenge_lines("sip", "n", ALGORITHMS))))
    chosen = choose(offered)
    assert chosen is not None
    assert chosen.algorithm == "SHA-512-256"


def test_a_challenge_that_is_not_ours_is_not_answered() -> None:
    offered = challenges_of(response(*challenge_lines("evil", "n", ALGORITHMS)))
    assert choose(offered, realm="carrier") is None
    assert choose(offered, realm="evil") is not None


def test_a_downgrade_is_not_followed_below_what_was_allowed() -> None:
    # An attacker on the way has removed the better ones.
    offered = challenges_of(response(*challenge_lines("sip", "n", ["MD5"])))
    assert choose(offered, weakest="SHA-256") is None
    assert choose(offered) is not None


def test_a_407_is_answered_in_its_own_header() -> None:
    (challenge,) = challenges_of(
        response('Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth,auth-int"',
                 status=407)
    )  # fmt: skip
    line = authorization(challenge, username="a", password="b", method="BYE", uri="sip:x",
                         cnonce="c", count=10)  # fmt: skip
    assert line.startswith("Proxy-Authorization: Digest ")
    assert "nc=0000000a" in line


def test_opaque_and_stale_come_back() -> None:
    (challenge,) = challenges_of(
        response('WWW-Authenticate: Digest realm="r", nonce="n", opaque="", stale=TRUE')
    )
    assert challenge.is_stale
    line = authorization(challenge, username="a", password="b", method="BYE", uri="sip:x",
                         cnonce="c", count=1)  # fmt: skip
    assert 'opaque=""' in line


def test_a_username_cannot_end_its_quotes() -> None:
    challenge = Challenge("r", "n", "MD5")
    line = authorization(challenge, username='a", realm="x', password="b", method="BYE",
                         uri="sip:x", cnonce="c", count=1)  # fmt: skip
    assert only(line.replace("\r\n", "")).realm == "r"


@pytest.mark.parametrize(
    "value",
    [
        "Basic realm=x",
        "Digest",
        "Digest realm=",
        'Digest realm="r"',
        'Digest realm="r", nonce=""',
        'Digest realm="r", nonce="n", algorithm=SHA-1',
        'Digest realm="r", nonce="n", qop="auth-int"',
        'Digest realm="r", nonce="n", nonce="m"',
        'Digest realm="r", nonce="n',
        'Digest realm="r" nonce="n"',
        f'Digest realm="{"r" * LONGEST}", nonce="n"',
        "Digest " + "a=b," * 500 + 'realm="r", nonce="n"',
    ],
)
def test_what_is_no_challenge_is_none(value: str) -> None:
    assert challenges_of(response(f"WWW-Authenticate: {value}")) == []


# --- the server --------------------------------------------------------------------------


def test_the_offer_has_one_line_per_algorithm_the_best_first() -> None:
    lines = challenge_lines('a"b', "n", ALGORITHMS, stale=True)
    assert [line.partition("algorithm=")[2].partition(",")[0] for line in lines] == [
        "SHA-512-256", "SHA-256", "MD5",
    ]  # fmt: skip
    assert all(line.endswith("stale=true") and r'realm="a\"b"' in line for line in lines)


WHOLE = (
    'Digest username="a", realm="r", nonce="n", uri="sip:x", response="0", cnonce="c",'
    " qop=auth, nc=00000001"
)


@pytest.mark.parametrize(
    "value",
    [
        "NoOneKnowsThisScheme opaque-data=here",  # RFC 4475 regaut01
        WHOLE.replace("qop=auth, ", ""),
        WHOLE.replace("qop=auth", "qop=auth-int"),
        WHOLE.replace("nc=00000001", "nc=1"),
        WHOLE.replace("nc=00000001", "nc=0000000g"),
        WHOLE.replace('nonce="n"', 'nonce=""'),
        WHOLE.replace('cnonce="c", ', ""),
        WHOLE + ", algorithm=MD4",
        WHOLE.replace('"a"', '"a'),
        WHOLE.replace('username="a"', f'username="{"a" * LONGEST}"'),
        WHOLE + ", username=b",
        WHOLE.replace('"n"', "n;x"),
        "Digest " + '"' * 1000,
        "Digest " + "\\" * 1000,
        "",
    ],
)
def test_what_is_no_proof_is_none(value: str) -> None:
    assert credentials_of(request(f"Authorization: {value}")) == []


def test_only_so_many_are_looked_at() -> None:
    assert len(credentials_of(request(*[f"Authorization: {WHOLE}"] * 100))) == 8
    assert credentials_of(request()) == []


LINE = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=300)


@given(text=LINE, is_begun=st.booleans())
def test_whatever_a_stranger_writes_is_a_proof_or_none(text: str, *, is_begun: bool) -> None:
    line = f"Authorization: {WHOLE}, {text}" if is_begun else f"Authorization: Digest {text}"
    for offered in credentials_of(request(line)):
        assert not is_proven(offered, "INVITE", "0" * 64)
        assert offered.nc <= LARGEST_COUNT
    for found in challenges_of(response(line.replace("Authorization", "WWW-Authenticate"))):
        proof = authorization(found, username="a", password="b", method="BYE", uri="sip:x",
                              cnonce="c", count=1)  # fmt: skip
        assert "\r" not in proof
        assert "\n" not in proof
