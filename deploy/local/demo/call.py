"""The demonstration call itself: both ends, and what each of them saw."""

import asyncio
from dataclasses import dataclass

from deploy.local.demo.phone import Address, Caller, Vendor
from deploy.local.demo.tone import share_of_tone

HOST = "127.0.0.1"
CALLER_HZ = 440
VENDOR_HZ = 1000
CALLER_NUMBER = "15550100"
CALLED_NUMBER = "442079460123"


@dataclass(frozen=True)
class Heard:
    """What one end received."""

    packets: int
    expected: int
    tone_hz: int
    share: float
    """Of the energy received, at ``tone_hz``."""

    @property
    def is_right(self) -> bool:
        """The tone of the other end, almost all of it, and nothing else to speak of."""
        return self.packets >= 0.9 * self.expected and self.share > 0.9


@dataclass(frozen=True)
class Outcome:
    """One finished call."""

    sip_call_id: str
    """As the caller knows the call, and so the record."""
    by_caller: Heard
    by_vendor: Heard
    refused_attempts: int
    """How often the cheaper vendor was asked, and refused."""
    caller_log: list[str]
    vendor_log: list[str]


class Ends:
    """The caller and the two vendors, on free ports of their own."""

    def __init__(self) -> None:
        self.cheap = Vendor(HOST, refuse_with="503 Service Unavailable")
        self.dear = Vendor(HOST)
        self._caller: Caller | None = None

    async def open(self, switch: Address) -> None:
        """Bind all ports."""
        self._caller = Caller(HOST, switch)
        for end in (self.cheap, self.dear, self._caller):
            await end.open()

    @property
    def caller(self) -> Caller:
        """The customer's telephone."""
        assert self._caller is not None, "open() comes first"
        return self._caller

    def close(self) -> None:
        """Give all ports back."""
        for end in (self.cheap, self.dear, self.caller):
            end.close()
        self.caller.audio.close()
        if self.dear.leg:
            self.dear.leg.audio.close()


async def place(ends: Ends, seconds: float) -> Outcome:
    """Dial, talk in both directions at once, hang up.

    Raises:
        Refused: the switch did not connect the call.
        TimeoutError: somebody did not answer in time.
    """
    caller, vendor = ends.caller, ends.dear
    await caller.call(CALLER_NUMBER, CALLED_NUMBER)
    async with asyncio.timeout(5):
        await vendor.acked.wait()
    leg = vendor.leg
    assert leg is not None, "the call was answered, so the vendor has it"
    await caller.audio.open()
    await leg.audio.open()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(caller.audio.play(caller.target, CALLER_HZ, seconds))
        tasks.create_task(leg.audio.play(leg.target, VENDOR_HZ, seconds))
    await caller.hang_up()
    async with asyncio.timeout(5):
        await vendor.ended.wait()
    expected = int(seconds * 50)
    return Outcome(
        sip_call_id=caller.call_id,
        by_caller=_heard(caller.audio.received, caller.audio.packets, expected, VENDOR_HZ),
        by_vendor=_heard(leg.audio.received, leg.audio.packets, expected, CALLER_HZ),
        refused_attempts=ends.cheap.calls,
        caller_log=caller.log,
        vendor_log=vendor.log,
    )


def _heard(audio: bytearray, packets: int, expected: int, tone_hz: int) -> Heard:
    return Heard(packets, expected, tone_hz, share_of_tone(bytes(audio), tone_hz))
