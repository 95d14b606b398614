"""Digest and registration over real sockets, in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.common.sip_options.auth import (
    CustomerAuth,
    CustomerRegistrations,
    VendorAuth,
    VendorRegister,
)
from services.common.sip_options.trunk import CustomerSip, VendorSip
from services.signaling.core.accounts import AccountState
from services.signaling.core.trunks import CustomerTrunk, Place, TrunkTable
from services.signaling.sip.message import Request, Response, parse
from services.signaling.sip.transaction.timers import TimerValues
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import (
    Endpoint,
    Party,
    StreamParty,
    Talk,
    message,
    on_uvloop,
    reply,
    until,
)
from tests.support.signaling.phones import Phone, Registrar, digest_rules, with_lines
from tests.support.signaling.ports import FixedPlanner
from tests.support.signaling.switch import (
    CALLER,
    VENDOR,
    LoopbackSwitch,
    running,
    to_vendor,
)

PASSWORDS = {"alice": "alice-secret", "desk": "desk-secret"}


def table(
    sip: CustomerSip | None = None, *, addresses: tuple[str, ...] = (), **more: object
) -> TrunkTable:
    trunk = CustomerTrunk(id="ctr_a", account_id="acc_1", sip=sip or CustomerSip())
    other = CustomerTrunk(id="ctr_b", account_id="acc_2")
    rules = digest_rules(PASSWORDS, trunk)
    rules.users["bob"] = digest_rules({"bob": "bob-secret"}, other).users["bob"]  # type: ignore[index]
    listed = dict.fromkeys(addresses, trunk)
    return TrunkTable(listed, vendor_hosts=[VENDOR], digest=rules, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def phone_and_vendor(
    sip: CustomerSip | None = None, timers: TimerValues | None = None
) -> AsyncIterator[tuple[Phone, Party, LoopbackSwitch]]:
    async with Party.at(CALLER) as party, Party.at(VENDOR) as vendor:
        switch = LoopbackSwitch(
            FixedPlanner(to_vendor(vendor.address)), timers=timers or TimerValues()
        )
        with running(switch):
            switch.switch.trunks = table(sip)
            yield Phone(party, ("127.0.0.1", switch.port)), vendor, switch
        assert switch.observations.errors == []


def contacts(switch: LoopbackSwitch) -> list[str]:
    return [binding.uri for binding in switch.switch.registrations.bindings()]


# --- the registrar: RFC 3665 section 2 ----------------------------------------------------


@on_uvloop
async def test_3665_2_1_successful_new_registration() -> None:
    async with phone_and_vendor() as (phone, _, switch):
        ok = await phone.register(headers=["Expires: 7200"])
        assert ok.headers("contact") == [f"{phone.contact};expires=3600"]
        (binding,) = switch.switch.registrations.bindings()
        assert (binding.username, binding.port) == ("alice", phone.party.address[1])
        assert switch.locations.stored == {binding.id: binding}


@on_uvloop
async def test_3665_2_4_cancellation_of_registration() -> None:
    async with phone_and_vendor() as (phone, _, switch):
        await phone.register()
        ok = await phone.register("*", headers=["Expires: 0"])
        assert ok.headers("contact") == []
        assert contacts(switch) == []
        assert list(switch.locations.stored.values()) == [None]


@on_uvloop
async def test_3665_2_5_unsuccessful_registration() -> None:
    async with phone_and_vendor() as (phone, _, switch):
        phone.password = "wrong"
        again = await phone.register(status=401)
        assert "stale" not in str(again.lines)
        stranger = Phone(phone.party, phone.switch, "nobody", "whatever")
        same = await stranger.register(status=401)
        assert len(same.lines) == len(again.lines)
        registrations = switch.switch.registrations
        assert (registrations.challenged, registrations.failed) == (4, 2)
        assert contacts(switch) == []


@on_uvloop
async def test_who_guesses_passwords_is_kept_out() -> None:
    async with phone_and_vendor() as (phone, _, switch):
        phone.password = "wrong"
        for _ in range(7):
            await phone.register(status=401)
        phone.party.send(phone.wire(phone.contact), phone.switch)
        await until(lambda: switch.switch.counters.banned_dropped == 1)
        assert phone.party.nothing_came()


@on_uvloop
async def test_who_knows_his_password_may_ask_often() -> None:
    async with phone_and_vendor() as (phone, _, switch):
        for _ in range(40):
            await phone.register()
        assert switch.switch.counters.banned_dropped == 0


@on_uvloop
async def test_who_may_register_what() -> None:
    async with phone_and_vendor() as (phone, _, switch):
        data = phone.wire(phone.contact).replace(b"To: <sip:alice@", b"To: <sip:bob@")
        phone.party.send(data, phone.switch)
        challenge = await phone.party.response(401)
        phone.party.send(phone.prove(data, challenge), phone.switch)
        await phone.party.response(403)
        data = phone.wire(phone.contact).replace(b"To: <sip:alice@", b"To: <sip:desk@")
        phone.party.send(data, phone.switch)
        challenge = await phone.party.response(401)
        phone.party.send(phone.prove(data, challenge), phone.switch)
        await phone.party.response(200)
        assert [one.username for one in switch.switch.registrations.bindings()] == ["desk"]


# --- calls with a password ----------------------------------------------------------------


@pytest.mark.parametrize("session", ["", "-sess"])
@pytest.mark.parametrize("algorithm", ["SHA-512-256", "SHA-256", "MD5"])
def test_a_call_with_each_algorithm(algorithm: str, session: str) -> None:
    @on_uvloop
    async def run() -> None:
        async with phone_and_vendor() as (phone, vendor, switch):
            data = message(phone.party, "INVITE", phone.switch, call_id="c", body=OFFER)
            phone.party.send(data, phone.switch)
            challenge = await phone.party.response(401)
            phone.party.send(
                message(phone.party, "ACK", phone.switch, call_id="c", to_tag=challenge.to_tag,
                        branch=parse_branch(data)),
                phone.switch,
            )  # fmt: skip
            again = phone.prove(data, challenge, algorithm=algorithm, session=session)
            phone.party.send(again, phone.switch)
            invite = await vendor.request("INVITE")
            assert not invite.has("authorization")
            assert switch.planner.asked[0].customer_trunk_id == "ctr_a"
            vendor.send(reply(vendor, invite, 486), phone.switch)
            await phone.party.response(486)
            await until(lambda: bool(switch.events.ended))
            assert len(switch.events.ended) == 1  # the challenge is no call
            assert switch.events.ended[0].account_id == "acc_1"

    run()


def parse_branch(data: bytes) -> str:
    return data.decode().partition("branch=z9hG4bK")[2].partition("\r\n")[0]


@on_uvloop
async def test_a_stranger_is_challenged_once_and_without_state() -> None:
    async with phone_and_vendor(timers=TimerValues(t1=0.001, t2=0.002)) as (phone, vendor, switch):
        data = message(phone.party, "INVITE", phone.switch, call_id="c", body=OFFER)
        challenge: Response | None = None
        for _ in range(3):  # his repetitions are all that is repeated
            phone.party.send(data, phone.switch)
            heard = await phone.party.hear()
            assert isinstance(heard, Response)
            assert heard.status == 401
            challenge = heard
        assert switch.layer.transaction_count == 0
        assert challenge is not None
        phone.party.send(phone.prove(data, challenge), phone.switch)
        trying = await phone.party.hear()
        assert isinstance(trying, Response)
        assert trying.status == 100
        vendor.send(reply(vendor, await vendor.request("INVITE"), 486), phone.switch)
        await phone.party.response(486)


@on_uvloop
async def test_who_is_gone_from_the_configuration_is_forgotten() -> None:
    async with phone_and_vendor() as (phone, _, switch):
        await phone.register()
        switch.switch.trunks = TrunkTable({})
        assert contacts(switch) == []
        assert list(switch.locations.stored.values()) == [None]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Authorization: NoOneKnowsThisScheme opaque-data=here", 401),  # regaut01
        ("Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E", 400),  # regbadct
        ("To: isbn:2983792873", 400),  # unksm2
        ("CSeq: 36893488147419103232 REGISTER", 400),  # scalar02
        ("Expires: 10000000000000000000000000000000000000", 400),  # scalar02
    ],
)
def test_4475_registrations(line: str, status: int) -> None:
    @on_uvloop
    async def run() -> None:
        async with phone_and_vendor() as (phone, _, switch):
            name = line.partition(":")[0]
            lines = phone.wire().decode().split("\r\n\r\n")[0].split("\r\n")
            kept = [one for one in lines if one.partition(":")[0] != name]
            phone.party.send("\r\n".join([*kept, line, "", ""]).encode(), phone.switch)
            await phone.party.response(status)
            assert contacts(switch) == []

    run()


@on_uvloop
async def test_a_replay_is_refused() -> None:
    async with phone_and_vendor() as (phone, _, _switch):
        data = phone.wire(phone.contact)
        phone.party.send(data, phone.switch)
        challenge = await phone.party.response(401)
        proven = phone.prove(data, challenge)
        phone.party.send(proven, phone.switch)
        await phone.party.response(200)
        overheard = proven.replace(b"z9hG4bK", b"z9hG4bKother")
        overheard = overheard.replace(b"Call-ID: ", b"Call-ID: other")
        phone.party.send(overheard, phone.switch)
        assert "stale=true" in str((await phone.party.response(401)).lines)


@on_uvloop
async def test_addresses_may_want_proof_too() -> None:
    sip = CustomerSip(auth=CustomerAuth(required=True))
    async with phone_and_vendor() as (phone, vendor, switch):
        switch.switch.trunks = table(sip, addresses=(CALLER,))
        data = message(phone.party, "INVITE", phone.switch, call_id="c", body=OFFER)
        phone.party.send(data, phone.switch)
        await phone.party.response(401)
        switch.switch.trunks = table(addresses=(CALLER,))
        talk = Talk(phone.party, vendor, phone.switch)
        await talk.ring()


@on_uvloop
async def test_strangers_are_dropped_until_there_are_passwords() -> None:
    async with phone_and_vendor() as (phone, _, switch):
        switch.switch.trunks = TrunkTable({})
        phone.party.send(phone.wire(phone.contact), phone.switch)
        await until(lambda: switch.switch.counters.unknown_dropped == 1)
        switch.switch.trunks = table()
        for method in ("OPTIONS", "SUBSCRIBE", "MESSAGE", "REFER", "PUBLISH", "NOTIFY", "BYE"):
            phone.party.send(
                message(phone.party, method, phone.switch, call_id=method), phone.switch
            )
        await until(lambda: switch.switch.counters.unknown_dropped == 8)
        assert phone.party.nothing_came()


@on_uvloop
async def test_17_unsolicited_and_oversized_authorization_is_harmless() -> None:
    async with phone_and_vendor() as (phone, _, switch):
        switch.switch.trunks = table(addresses=(CALLER,))
        whole = 'Authorization: Digest username="alice", realm="never challenged", nonce="n",' \
            ' uri="sip:x", response="0", cnonce="c", qop=auth, nc=00000001'  # fmt: skip
        for number, line in enumerate(
            (whole, whole + ', opaque="' + "x" * 7000 + '"', "Authorization: Digest " + '"' * 7000,
             "Authorization: " + "\\" * 7000, "Authorization:", "Authorization: Basic eA=="), 1
        ):  # fmt: skip
            for method, status in (
                ("OPTIONS", 200), ("REGISTER", 401), ("MESSAGE", 405), ("SUBSCRIBE", 405),
                ("BYE", 481), ("CANCEL", 481),
            ):  # fmt: skip
                data = message(phone.party, method, phone.switch, call_id=f"{method}{number}")
                phone.party.send(with_lines(data, *[line] * number), phone.switch)
                await phone.party.response(status)


# --- calls to a registered user -----------------------------------------------------------


async def call_registered(caller: Endpoint, phone: Phone, switch: LoopbackSwitch) -> Request:
    """One whole call to the phone's user; the INVITE it got."""
    switch.planner.plan_now = FixedPlanner(to_vendor(("registered:alice", 5060))).plan_now
    talk = Talk(caller, phone.party, phone.switch)
    await talk.ring()
    await talk.answer()
    await talk.hang_up()
    await until(lambda: bool(switch.events.ended) and not switch.switch.calls)
    assert talk.invite is not None
    return talk.invite


@on_uvloop
async def test_a_call_to_a_registered_user() -> None:
    async with phone_and_vendor() as (phone, vendor, switch):
        await phone.register()
        switch.switch.trunks = table(addresses=(VENDOR,))
        invite = await call_registered(vendor, phone, switch)
        assert f"<{invite.uri}>" == phone.contact
        (ended,) = switch.events.ended
        assert ended.attempts[0].target == f"{CALLER}:{phone.party.address[1]};udp"


@on_uvloop
async def test_a_call_over_the_connection_of_a_registration() -> None:
    async with phone_and_vendor() as (_, vendor, switch):
        await switch.tcp.listen(("127.0.0.1", switch.port))
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            running_tcp = tasks.create_task(switch.tcp.run())
            _, party = await loop.create_connection(
                StreamParty, "127.0.0.1", switch.port, local_addr=(CALLER, 0)
            )
            phone = Phone(party, ("127.0.0.1", switch.port))
            # A Contact that nobody can reach: behind a NAT it is a private address.
            await phone.register("<sip:alice@10.255.255.1:5060;transport=tcp>")
            switch.switch.trunks = table(addresses=(VENDOR,))
            invite = await call_registered(vendor, phone, switch)
            assert invite.uri == "sip:alice@10.255.255.1:5060;transport=tcp"
            party.transport.close()
            registrations = switch.switch.registrations
            await until(lambda: [one.connection for one in registrations.bindings()] == [0])
            running_tcp.cancel()


@on_uvloop
async def test_nobody_is_registered() -> None:
    async with phone_and_vendor() as (phone, vendor, switch):
        switch.switch.trunks = table(addresses=(VENDOR,))
        switch.planner.plan_now = FixedPlanner(to_vendor(("registered:alice", 5060))).plan_now
        data = message(vendor, "INVITE", phone.switch, call_id="c", body=OFFER)
        vendor.send(data, phone.switch)
        await vendor.response(480)
        await until(lambda: bool(switch.events.ended))
        assert switch.events.ended[0].end_reason == "not_registered"


@on_uvloop
async def test_a_contact_that_answers_no_probe_is_forgotten() -> None:
    sip = CustomerSip(registrations=CustomerRegistrations(probe_s=1))
    async with phone_and_vendor(sip, TimerValues(t1=0.001, t2=0.002)) as (phone, _, switch):
        await phone.register()
        options = await phone.party.request("OPTIONS")
        assert f"<{options.uri}>" == phone.contact
        phone.party.send(reply(phone.party, options, 481), phone.switch)  # any answer will do
        await until(lambda: contacts(switch) == [])
        assert list(switch.locations.stored.values()) == [None]


@on_uvloop
async def test_what_another_node_stored_is_known_here() -> None:
    async with phone_and_vendor() as (phone, vendor, switch):
        await phone.register()
        (binding,) = switch.switch.registrations.bindings()
        other = LoopbackSwitch(FixedPlanner())
        with running(other):
            other.context.node = "other"
            other.switch.trunks = table(addresses=(VENDOR,))
            other.switch.registrations.on_stored("alice", binding.id, binding)
            elsewhere = Phone(phone.party, ("127.0.0.1", other.port))
            await call_registered(vendor, elsewhere, other)
            other.switch.registrations.on_stored("alice", binding.id, None)
            assert contacts(other) == []


# --- our own account at a vendor ----------------------------------------------------------


def vendor_table(
    vendor: Party, *, enabled: bool = True, register: bool = True, **options: object
) -> TrunkTable:
    sip = VendorSip(
        auth=VendorAuth(username="tandem", password="s3cret"),
        register=VendorRegister(enabled=register, **options),  # type: ignore[arg-type]
    )
    trunk = CustomerTrunk(id="ctr_a", account_id="acc_1")
    accounts = {"vtr_1": Place(*vendor.address, "udp")} if enabled and register else {}
    return TrunkTable(
        {CALLER: trunk}, vendor_hosts=[VENDOR], vendors={"vtr_1": sip}, accounts=accounts
    )


@on_uvloop
async def test_the_switch_registers_renews_and_leaves() -> None:
    async with phone_and_vendor() as (phone, vendor, switch):
        registrar = Registrar(vendor)
        switch.switch.trunks = vendor_table(vendor)
        request = await registrar.take(phone.switch)
        assert request.headers("contact") == [f"<sip:tandem@127.0.0.1:{switch.port}>"]
        registrations = switch.switch.registrations
        account = registrations.accounts["vtr_1"]
        await until(lambda: account.state is AccountState.REGISTERED)
        assert 3590 <= registrations.expires_in_s(account) <= 3600
        # The same again changes nothing; other options register anew, without leaving first.
        switch.switch.trunks = vendor_table(vendor)
        switch.switch.trunks = vendor_table(vendor, expires_s=600)
        assert (await registrar.take(phone.switch)).first("expires") == "600"
        switch.switch.trunks = vendor_table(vendor, enabled=False)
        gone = await registrar.take(phone.switch)
        assert (gone.first("expires"), registrations.accounts) == ("0", {})


@on_uvloop
async def test_registrations_are_taken_back_when_the_process_ends() -> None:
    async with phone_and_vendor() as (phone, vendor, switch):
        registrar = Registrar(vendor)
        switch.switch.trunks = vendor_table(vendor)
        await registrar.take(phone.switch)
        registrations = switch.switch.registrations
        await until(lambda: registrations.accounts["vtr_1"].state is AccountState.REGISTERED)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(registrations.withdraw())
            assert (await registrar.take(phone.switch)).first("expires") == "0"
        switch.switch.trunks = vendor_table(vendor)
        assert registrations.accounts == {}


@on_uvloop
async def test_a_silent_registrar_is_shown_as_unreachable() -> None:
    async with phone_and_vendor(timers=TimerValues(t1=0.001, t2=0.002)) as (_, vendor, switch):
        switch.switch.trunks = vendor_table(vendor)
        account = switch.switch.registrations.accounts["vtr_1"]
        await until(lambda: account.state is AccountState.UNREACHABLE)


@pytest.mark.parametrize("status", [401, 407])
def test_a_vendor_that_challenges_calls(status: int) -> None:
    @on_uvloop
    async def run() -> None:
        async with phone_and_vendor() as (phone, vendor, switch):
            carrier = Registrar(vendor)
            switch.switch.trunks = vendor_table(vendor, register=False)
            caller = Talk(phone.party, vendor, phone.switch)
            caller.say("INVITE", 1, OFFER)
            first = await vendor.request("INVITE")
            vendor.send(carrier.challenge(first, status=status), phone.switch)
            ack = await vendor.request("ACK")
            assert ack.cseq.number == 1
            second = await vendor.request("INVITE")
            assert (second.cseq.number, second.body) == (2, OFFER)
            proof = second if status == 401 else as_401(second)
            assert carrier.is_proven(proof)
            caller.invite = second
            await caller.answer()
            caller.say("BYE", 2)
            bye = await vendor.request("BYE")
            vendor.send(carrier.challenge(bye), phone.switch)
            again = await vendor.request("BYE")
            assert carrier.is_proven(again)
            vendor.send(reply(vendor, again, 200), phone.switch)
            await until(lambda: not switch.switch.calls)
            assert switch.events.ended[0].end_reason == "normal"

    run()


def as_401(request: Request) -> Request:
    lines = [line.removeprefix("Proxy-") for line in request.lines]
    text = "\r\n".join([f"{request.method} {request.uri} SIP/2.0", *lines, "", ""])
    message = parse(text.encode("latin-1") + request.body)
    assert isinstance(message, Request)
    return message


@on_uvloop
async def test_16_a_vendor_that_challenges_for_ever_ends_the_attempt() -> None:
    async with phone_and_vendor() as (phone, vendor, switch):
        carrier = Registrar(vendor)
        switch.switch.trunks = vendor_table(vendor, register=False)
        Talk(phone.party, vendor, phone.switch).say("INVITE", 1, OFFER)
        for _ in range(2):
            vendor.send(
                carrier.challenge(await vendor.request("INVITE"), status=407), phone.switch
            )
        await phone.party.response(503)
        await until(lambda: bool(switch.events.ended))
        assert [one.sip_code for one in switch.events.ended[0].attempts] == [407]
        assert not [data for data in vendor.inbox._queue if data.startswith(b"INVITE")]  # type: ignore[attr-defined]
