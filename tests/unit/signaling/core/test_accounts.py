"""Our registration at a vendor, with literal time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Literal

import pytest

from services.common.digest import ALGORITHMS
from services.common.sip_options.auth import VendorAuth, VendorRegister
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.accounts import IMPATIENT, NEVER, Account, AccountState
from services.signaling.core.trunks import Place
from services.signaling.sip.actions import Peer
from services.signaling.sip.build import RequestDraft
from services.signaling.sip.digest import challenge_lines
from tests.support.signaling.machine import answer_to, received

PLACE = Place("sip.carrier.example", 5060, "udp")
FIRST, SECOND = Peer("udp", "192.0.2.1", 5060), Peer("udp", "192.0.2.2", 5060)
CONTACT = "<sip:tandem@203.0.113.1:5060>"


def account(
    expires_s: Literal["auto"] | int = "auto",
    *,
    user: str = "",
    place: Place = PLACE,
    peers: Sequence[Peer] = (FIRST,),
) -> Account:
    numbers = count(1)
    sip = VendorSip(
        auth=VendorAuth(username="tandem", password="s3cret"),
        register=VendorRegister(enabled=True, expires_s=expires_s, contact_user=user),
    )
    return Account("vtr_1", sip, place, locate=lambda: peers, advertised="203.0.113.1:5060",
                   call_id="reg", new_tag=lambda: f"tag{next(numbers)}")  # fmt: skip


def begun(one: Account, now: float = 100.0) -> RequestDraft:
    draft = one.start(now)
    assert draft is not None
    return draft


def say(
    one: Account,
    draft: RequestDraft | None,
    status: int,
    now: float,
    headers: Sequence[str] = (),
    contact: str = f"{CONTACT};expires=300",
) -> RequestDraft | None:
    assert draft is not None
    return one.on_response(answer_to(draft, status, headers=headers, contact=contact), now)


def registered(now: float = 100.0) -> Account:
    one = account()
    say(one, begun(one), 200, now)
    return one


def test_the_register() -> None:
    one = account(600, user="line1")
    request = received(begun(one))
    assert request.uri == "sip:sip.carrier.example"
    assert request.to.uri == request.from_.uri == "sip:tandem@sip.carrier.example"
    assert request.headers("contact") == ["<sip:line1@203.0.113.1:5060>"]
    assert request.first("expires") == "600"
    tcp = received(begun(account(place=Place("2001:db8::1", 5080, "tcp"))))
    assert tcp.uri == "sip:[2001:db8::1]:5080;transport=tcp"
    assert tcp.headers("contact") == ["<sip:tandem@203.0.113.1:5060;transport=tcp>"]


def test_what_is_granted_is_renewed_in_good_time() -> None:
    one = account()
    first = begun(one)
    assert (one.state, one.deadline) == (AccountState.REGISTERING, NEVER)
    say(one, first, 200, 100.0)
    assert (one.state, one.expires_at, one.deadline) == (AccountState.REGISTERED, 400.0, 340.0)
    assert one.on_timer(339.9) is None
    second = one.on_timer(340.0)
    assert second is not None
    assert (second.call_id, second.cseq) == (first.call_id, 2)


@pytest.mark.parametrize(
    ("contact", "headers", "granted"),
    [
        (f"<sip:other@x>;expires=60, {CONTACT};expires=120", (), 120),
        (CONTACT, ("Expires: 200",), 200),
        (CONTACT, (), 3600),
        ("<sip:other@x>;expires=60", ("Expires: 90",), 90),
        (f"{CONTACT};expires=1", (), 15),
        (f"{CONTACT};expires=99999999", (), 86_400),
        ("nonsense nonsense", ("Expires: x",), 3600),
    ],
)
def test_how_long_it_was_granted(contact: str, headers: tuple[str, ...], granted: int) -> None:
    one = account()
    say(one, begun(one), 200, 100.0, headers, contact)
    assert one.expires_at == 100.0 + granted


def test_a_challenge_is_answered_once_and_its_nonce_used_again() -> None:
    one = account()
    offered = challenge_lines("carrier", "n1", ALGORITHMS)
    again = say(one, begun(one), 401, 100.0, offered)
    assert again is not None
    assert again.cseq == 2
    assert 'nonce="n1"' in str(again.lines)
    assert say(one, again, 200, 100.1) is None
    refresh = one.on_timer(one.deadline)
    assert refresh is not None
    assert "nc=00000002" in str(refresh.lines)
    # The nonce is too old meanwhile.
    renewed = say(one, refresh, 401, 341.0, challenge_lines("carrier", "n2", ALGORITHMS))
    assert renewed is not None
    say(one, renewed, 200, 341.1)
    assert one.state is AccountState.REGISTERED


def test_a_registrar_that_challenges_for_ever_is_asked_after_a_pause() -> None:
    one = account()
    again = say(one, begun(one), 401, 100.0, challenge_lines("carrier", "n1", ALGORITHMS))
    assert say(one, again, 401, 100.1, challenge_lines("carrier", "n2", ALGORITHMS)) is None
    assert (one.state, one.status, one.deadline) == (AccountState.REFUSED, 401, 160.1)
    assert one.on_timer(160.1) is not None


def test_a_longer_interval_is_accepted_when_asked_for() -> None:
    one = account(60)
    again = say(one, begun(one), 423, 100.0, ("Min-Expires: 1800",))
    assert again is not None
    assert "Expires: 1800" in again.lines
    say(one, again, 200, 100.1, contact=CONTACT)
    assert one.expires_at == 1900.1


@pytest.mark.parametrize("header", ["Min-Expires: 99999999", "Min-Expires: x", "X: y"])
def test_a_registrar_that_is_never_content_is_not_obeyed_for_ever(header: str) -> None:
    one = account(60)
    draft: RequestDraft | None = begun(one)
    tries = 0
    while draft is not None:
        draft = say(one, draft, 423, 100.0, (header,))
        tries += 1
    assert tries == 3
    assert one.state is AccountState.REFUSED


def test_refused_and_silent_are_tried_again_after_the_pause() -> None:
    one = account()
    say(one, begun(one), 503, 100.0, ("Retry-After: 90",))
    assert (one.state, one.status, one.deadline) == (AccountState.REFUSED, 503, 190.0)
    one.on_timer(190.0)
    one.on_failure(222.0)
    assert (one.state, one.status, one.deadline) == (AccountState.UNREACHABLE, 0, 282.0)
    say(one, one.on_timer(282.0), 503, 300.0, ("Retry-After: 999999 (a long while)",))
    assert one.deadline == 300.0 + 3600


def test_it_is_taken_back() -> None:
    one = registered()
    draft = one.stop(200.0, 2.0)
    assert draft is not None
    assert "Expires: 0" in draft.lines
    assert (one.state, one.deadline) == (AccountState.REMOVING, 202.0)
    again = say(one, draft, 401, 200.1, challenge_lines("carrier", "n9", ALGORITHMS))
    assert again is not None
    assert "Expires: 0" in again.lines
    say(one, again, 200, 200.2)
    assert one.is_settled


def test_nobody_waits_for_a_registrar_that_is_gone() -> None:
    one = registered()
    one.stop(200.0, 2.0)
    seen = [(one.on_timer(at), one.is_settled) for at in (201.9, 202.0)]
    assert seen == [(None, False), (None, True)]
    other = registered()
    other.stop(200.0, 2.0)
    other.on_failure(201.0)
    assert other.is_settled


def test_what_is_not_registered_needs_no_taking_back() -> None:
    one = account()
    say(one, begun(one), 403, 100.0)
    assert one.stop(101.0, 2.0) is None
    assert one.is_settled
    on_its_way = account()
    first = begun(on_its_way)
    assert on_its_way.stop(100.0, 2.0) is not None
    assert not on_its_way.is_settled
    expired = registered()
    expired.on_timer(340.0)
    expired.on_failure(372.0)
    assert expired.stop(500.0, 2.0) is None
    assert say(expired, first, 200, 501.0) is None


# --- several addresses ------------------------------------------------------------------------


def several(*peers: Peer) -> Account:
    return account(peers=peers or (FIRST, SECOND))


def test_after_silence_the_next_address_is_asked() -> None:
    one = several()
    first = begun(one)
    assert (one.target, one.timers) == (FIRST, IMPATIENT)
    second = one.on_failure(104.0)
    assert second is not None
    assert (one.target, one.timers) == (SECOND, None)
    assert (second.call_id, second.cseq) == (first.call_id, first.cseq + 1)
    assert one.on_failure(136.0) is None
    assert (one.state, one.status, one.deadline) == (AccountState.UNREACHABLE, 0, 196.0)
    third = one.on_timer(196.0)
    assert third is not None
    assert one.target == FIRST


def test_after_503_the_next_address_is_asked_and_what_it_says_counts() -> None:
    one = several()
    second = say(one, begun(one), 503, 100.0)
    assert one.target == SECOND
    challenged = say(one, second, 401, 101.0, challenge_lines("carrier", "n1", ALGORITHMS))
    say(one, challenged, 200, 102.0)
    assert one.state is AccountState.REGISTERED
    assert one.target == SECOND


def test_any_other_refusal_is_the_registrars_own() -> None:
    one = several()
    assert say(one, begun(one), 403, 100.0) is None
    assert one.state is AccountState.REFUSED


def test_the_address_that_granted_it_renews_it_and_takes_it_back() -> None:
    one = several()
    say(one, say(one, begun(one), 503, 100.0), 200, 100.0)
    assert one.on_timer(340.0) is not None
    assert one.target == SECOND
    # It is gone meanwhile: the others are asked again.
    assert one.on_failure(344.0) is not None
    assert one.target == FIRST
    assert one.stop(345.0, 4.0) is not None
    assert one.target == SECOND
    assert one.on_failure(349.0) is None
    assert one.is_settled


def test_a_name_nobody_knows_is_tried_again() -> None:
    found: list[Peer] = []
    one = account(peers=found)
    assert one.start(100.0) is None
    assert (one.state, one.deadline) == (AccountState.UNREACHABLE, 160.0)
    found.append(FIRST)
    assert one.on_timer(160.0) is not None
    assert one.target == FIRST
