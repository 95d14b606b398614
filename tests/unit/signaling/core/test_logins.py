"""Our proof to a vendor, in a dialog and in a whole call."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.common.causes import EndReason
from services.common.digest import ALGORITHMS, every_ha1
from services.common.sip_options.auth import VendorAuth
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.commands import Acknowledge, Cancel, Respond
from services.signaling.core.commands import Request as Dial
from services.signaling.core.logins import Login
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.build import RequestDraft, request
from services.signaling.sip.digest import Credentials, challenge_lines, credentials_of, is_proven
from services.signaling.sip.message import Request, parse
from tests.support.signaling.machine import (
    ANSWER,
    Machine,
    answer_to,
    candidate,
    context,
    kinds,
    only,
    received,
)

AUTH = VendorAuth(username="tandem", password="s3cret")


def challenge(nonce: str = "n1", *, realm: str = "carrier", proxy: bool = False) -> list[str]:
    lines = [*challenge_lines(realm, nonce, ALGORITHMS)]
    return [line.replace("WWW-", "Proxy-") for line in lines] if proxy else lines


def proof(draft: RequestDraft) -> Credentials:
    """The credentials in a draft, proven right."""
    lines = [line.removeprefix("Proxy-") for line in received(draft).lines]
    head = f"{draft.method} {draft.uri} SIP/2.0"
    message = parse("\r\n".join([head, *lines, "", ""]).encode("latin-1") + draft.body)
    assert isinstance(message, Request)
    (found,) = credentials_of(message)
    key = every_ha1("tandem", found.realm, "s3cret")[found.algorithm]
    method = "INVITE" if draft.method == "ACK" else draft.method
    assert is_proven(found, method, key)
    return found


def draft_of(method: str = "INVITE") -> RequestDraft:
    return request(method, "sip:1@carrier", from_="<sip:a@b>;tag=1", to="<sip:1@carrier>",
                   call_id="c", cseq=1)  # fmt: skip


# --- alone -------------------------------------------------------------------------------


def test_a_challenge_is_answered_with_the_best_algorithm() -> None:
    login, draft = Login(AUTH, "cn"), draft_of()
    assert login.sign(draft) is draft
    assert "Authorization" not in str(draft.lines)
    assert login.accept(answer_to(draft, 401, headers=challenge()))
    again = login.again(draft, 2)
    assert (again.cseq, again.call_id) == (2, "c")
    assert "CSeq: 2 INVITE" in again.lines
    assert proof(again).algorithm == "SHA-512-256"


def test_a_nonce_is_used_again_and_counted() -> None:
    login, draft = Login(AUTH, "cn"), draft_of()
    login.accept(answer_to(draft, 401, headers=challenge()))
    login.again(draft, 2)
    bye = login.sign(draft_of("BYE"))
    assert (proof(bye).nc, proof(bye).nonce) == (2, "n1")
    login.accept(answer_to(bye, 401, headers=challenge("n2")))
    assert (proof(login.again(bye, 3)).nc, len(bye.lines)) == (1, 6)


@pytest.mark.parametrize(
    ("auth", "status", "headers"),
    [
        (VendorAuth(), 401, challenge()),
        (VendorAuth(username="a", realm="ours"), 401, challenge()),
        (VendorAuth(username="a", weakest="SHA-256"), 401, challenge()[2:]),
        (AUTH, 401, []),
        (AUTH, 401, challenge(proxy=True)),
        (AUTH, 403, challenge()),
    ],
)
def test_what_is_not_answered(auth: VendorAuth, status: int, headers: list[str]) -> None:
    response = answer_to(draft_of(), status, headers=headers)
    assert not Login(auth, "cn").accept(response)


# --- in a call ---------------------------------------------------------------------------


def machine(auth: VendorAuth = AUTH, count: int = 1) -> Machine:
    shared = context()
    vendors = {f"vtr_{number}": VendorSip(auth=auth) for number in range(1, count + 1)}
    shared.trunks = TrunkTable({}, vendors=vendors)
    return Machine(*(candidate(number) for number in range(1, count + 1)), shared=shared)


def asked(call: Machine, invite: Dial, headers: Sequence[str], status: int = 401) -> Dial:
    return only(call.say(invite, status, 100.1, headers=headers), Dial)


def test_3665_3_2_a_vendor_that_challenges_is_answered_within_the_attempt() -> None:
    call = machine()
    invite = call.dial()
    again = asked(call, invite, challenge(proxy=True), status=407)
    assert proof(again.draft).nonce == "n1"
    assert (again.draft.cseq, again.draft.call_id) == (2, invite.draft.call_id)
    assert again.draft.body == invite.draft.body
    ack = only(call.say(again, 200, 101.0, body=ANSWER), Acknowledge)
    assert ack.draft.cseq == 2
    assert proof(ack.draft).nc == 1  # the credentials of its INVITE
    call.durable(101.0)
    call.ack(101.1)
    bye = only(call.caller_sends("BYE", 110.0), Dial)
    assert (bye.draft.cseq, proof(bye.draft).nc) == (3, 2)
    call.reply(bye, 200, 110.1)
    assert len(call.record.attempts) == 1
    call.assert_ended(EndReason.NORMAL, 200)


def test_a_bye_that_is_challenged_is_sent_again_once() -> None:
    call = machine()
    again = asked(call, call.dial(), challenge())
    call.say(again, 200, 101.0, body=ANSWER)
    call.durable(101.0)
    call.ack(101.1)
    bye = only(call.caller_sends("BYE", 110.0), Dial)
    second = only(call.reply(bye, 401, 110.1, headers=challenge("n2")), Dial)
    assert (second.draft.cseq, proof(second.draft).nonce) == (4, "n2")
    assert not call.is_finished
    assert kinds(call.reply(second, 401, 110.2, headers=challenge("n3")))[-1:] == ["Finished"]


def test_a_reinvite_that_is_challenged_is_sent_again_once() -> None:
    call = machine()
    again = asked(call, call.dial(), challenge())
    call.say(again, 200, 101.0, body=ANSWER)
    call.durable(101.0)
    call.ack(101.1)
    first = only(call.caller_sends("INVITE", 105.0, body=ANSWER), Dial)
    assert proof(first.draft).nc == 2
    second = only(call.reply(first, 401, 105.1, headers=challenge("n2")), Dial)
    assert (second.draft.cseq, second.draft.body) == (first.draft.cseq + 1, ANSWER)
    commands = call.reply(second, 200, 105.2, body=ANSWER)
    assert only(commands, Acknowledge).draft.cseq == second.draft.cseq
    assert only(commands, Respond).reply.status == 200
    info = only(call.caller_sends("INFO", 106.0, body=b"x"), Dial)
    commands = call.reply(info, 407, 106.1, headers=challenge("n3", proxy=True))
    third = only(commands, Dial)
    commands = call.reply(third, 407, 106.2, headers=challenge("n4", proxy=True))
    assert only(commands, Respond).reply.status == 407


def test_a_vendor_that_challenges_for_ever_ends_the_attempt() -> None:
    call = machine(count=2)
    invite = call.dial()
    again = asked(call, invite, challenge("n1"))
    next_vendor = only(call.say(again, 401, 100.2, headers=challenge("n2")), Dial)
    assert next_vendor.peer.host == "198.51.100.2"
    last = asked(call, next_vendor, challenge("n3"))
    call.say(last, 401, 100.4, headers=challenge("n4"))
    record = call.assert_ended(EndReason.REJECTED, 503)
    assert [attempt.sip_code for attempt in record.attempts] == [401, 401]


def test_without_credentials_a_challenge_is_a_refusal() -> None:
    call = machine(VendorAuth())
    call.say(call.dial(), 401, 100.1, headers=challenge())
    call.assert_ended(EndReason.REJECTED, 503)


def test_a_cancel_goes_to_the_second_invite() -> None:
    call = machine()
    again = asked(call, call.dial(), challenge())
    call.say(again, 180, 101.0)
    cancel = received(draft_of("CANCEL"))
    commands = call.take(call.call.on_cancel(cancel, "invite", 102.0))
    assert only(commands, Cancel).key == again.owner.key


def test_6_a_challenge_of_somebody_else_is_never_answered() -> None:
    """A digest leak: the customer challenges our BYE, the vendor a request for another realm."""
    call = machine(VendorAuth(username="tandem", password="s3cret", realm="carrier"))
    again = asked(call, call.dial(), challenge())
    call.say(again, 200, 101.0, body=ANSWER)
    call.durable(101.0)
    call.ack(101.1)
    commands = call.take(call.call.hang_up(EndReason.ADMIN_DISCONNECT, 105.0))
    to_caller, to_vendor = [one for one in commands if isinstance(one, Dial)]
    assert "Authorization" not in str(to_caller.draft.lines)
    # The customer asks for it, in the name of the carrier even.
    assert "A BYE" not in kinds(call.reply(to_caller, 401, 105.1, headers=challenge("n2")))
    other = challenge("n3", realm="elsewhere")
    assert "B1 BYE" not in kinds(call.reply(to_vendor, 407, 105.2, headers=other))
    assert call.is_finished
