"""Calls over TLS, from a browser and between IPv6 and IPv4, each with its record."""

import asyncio
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stage import Stage
from tests.support import scenarios
from tests.support.lab import CALLER_HOST, Lab, document, eventually
from tests.support.ports import RTP, free_port
from tests.support.signaling.machine import OFFER
from tests.support.signaling.party import PATIENCE_S, Endpoint, Party, StreamParty, message
from tests.support.signaling.secure import Authority, TlsParty, WebSocketParty
from tests.support.sipp import Sipp

HOST = "127.0.0.1"


class Doors:
    """Where the switch of this module listens."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.tls = (HOST, free_port())
        self.wss = (HOST, free_port())
        self.v6 = ("::1", free_port("::1"))

    @property
    def sip(self) -> tuple[str, ...]:
        return (f"tls:{HOST}:{self.tls[1]}", f"wss:{HOST}:{self.wss[1]}", f"[::1]:{self.v6[1]}")


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Doors:
    return Doors(Authority(tmp_path_factory.mktemp("certificates")))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, doors: Doors) -> Iterator[Lab]:
    files = doors.authority.files(HOST)
    lab = Lab(
        tmp_path_factory.mktemp("switch"),
        sip=doors.sip,
        rtp=f"{HOST}:{RTP},[::1]:{RTP}",
        environment={
            "TANDEM_TLS_CERTIFICATE": files.certificate,
            "TANDEM_TLS_AUTHORITIES": files.authorities,
        },
    )
    with lab:
        lab.apply(document(lab.vendors, media_proxy=True))
        change(lab, "customer_trunks", "customer-trunk", addresses=[CALLER_HOST, "::1"])
        eventually(partial(answers, doors.v6), what="IPv6 address known")
        yield lab


def change(lab: Lab, kind: str, name: str, **fields: object) -> None:
    ids = {row["name"]: row["id"] for row in lab.get(f"/v1/{kind}")["data"]}
    lab.http.patch(f"/v1/{kind}/{ids[name]}", json=fields).raise_for_status()


def answers(door: tuple[str, int]) -> bool | None:
    """Whether OPTIONS over IPv6 is answered."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as phone:
        phone.bind(("::1", 0))
        phone.settimeout(0.2)
        end = Party()
        end.address = phone.getsockname()[:2]
        phone.sendto(message(end, "OPTIONS", door, call_id=f"o{end.address[1]}"), door)
        try:
            return bool(phone.recv(65_535))
        except TimeoutError:
            return None


async def call(caller: Endpoint, to: tuple[str, int], number: str) -> None:
    """INVITE, ACK and BYE as a telephone would send them."""
    say = partial(message, caller, to=to, call_id=f"call-{number}", number=number)
    sdp = OFFER.replace(b"192.0.2.10", CALLER_HOST.encode())
    caller.send(say("INVITE", body=sdp), to)
    await caller.response(180)
    ok = await caller.response(200)
    assert f"IN IP4 {HOST}".encode() in ok.body
    caller.send(say("ACK", to_tag=ok.to_tag), to)
    caller.send(say("BYE", cseq=2, to_tag=ok.to_tag), to)
    await caller.response(200)


async def hung_up(caller: StreamParty) -> None:
    caller.transport.close()
    async with asyncio.timeout(PATIENCE_S):
        await caller.closed.wait()


def ended_well(record: dict[str, Any]) -> None:
    assert (record["end_side"], record["end_reason"]) == ("caller", "normal")
    assert (record["sip_code_in"], record["sip_code_out"]) == (200, 200)
    assert record["talk_ms"] > 0


def test_a_call_over_tls(stage: Stage, doors: Doors) -> None:
    vendor = stage.vendor(scenarios.VENDOR)

    async def dial() -> None:
        caller = await TlsParty.connect(doors.tls, doors.authority.client(), CALLER_HOST)
        await call(caller, doors.tls, stage.called)
        await hung_up(caller)

    asyncio.run(dial())
    assert vendor.wait() == 0, vendor.errors()
    record = stage.record()
    ended_well(record)
    assert record["source"].endswith(";tls")
    assert record["attempts"][0]["target"].endswith(";udp")


def test_a_call_from_a_browser(stage: Stage, doors: Doors) -> None:
    vendor = stage.vendor(scenarios.VENDOR)

    async def dial() -> None:
        caller = await WebSocketParty.connect(doors.wss, doors.authority.client(), CALLER_HOST)
        caller.address = ("a1b2c3.invalid", 5060)
        await call(caller, doors.wss, stage.called)
        await hung_up(caller)

    asyncio.run(dial())
    assert vendor.wait() == 0, vendor.errors()
    record = stage.record()
    ended_well(record)
    assert record["source"].endswith(";wss")


def test_a_call_from_ipv6_to_ipv4(stage: Stage, doors: Doors, tmp_path: Path) -> None:
    vendor = stage.vendor(scenarios.VENDOR, hold_ms=300)
    local = ("::1", free_port("::1"))
    caller = Sipp(
        tmp_path, "caller", scenarios.CALLER, local, doors.v6, called=stage.called, hold_ms=300,
    ).start()  # fmt: skip
    assert (caller.wait(), vendor.wait()) == (0, 0), caller.errors() + vendor.errors()
    record = stage.record()
    ended_well(record)
    assert record["source"].startswith("[::1]:")
    assert record["attempts"][0]["target"].startswith("127.0.0.3:")
