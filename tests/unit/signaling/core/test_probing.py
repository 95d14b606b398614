"""OPTIONS to vendors, by hand and with literal time."""

from __future__ import annotations

from services.common.causes import EndReason
from services.common.sip_options.probe import VendorProbe
from services.common.sip_options.trunk import VendorSip
from services.signaling.core.context import Context
from services.signaling.core.probing import NEVER, Prober, Question
from services.signaling.core.reach import Reach
from services.signaling.core.trunks import VendorPlace
from services.signaling.sip.actions import Manner, Peer
from tests.support.signaling.machine import answer_to, context, received

PROBED = VendorSip(probe=VendorProbe(every_s=10, down_after=2, up_after=2))
VENDOR = VendorPlace("vtr_1", "north", "198.51.100.1", 5070, "udp", True, PROBED)
PEER = Peer("udp", "198.51.100.1", 5070)


def prober(*places: VendorPlace, shared: Context | None = None) -> tuple[Prober, Context]:
    known = shared or context()
    machine = Prober(known)
    machine.use(places or (VENDOR,), 100.0)
    return machine, known


def ask(machine: Prober, now: float) -> Question:
    (question,) = machine.on_timer(now)
    return question


def answer(machine: Prober, question: Question, status: int, now: float, *lines: str) -> None:
    machine.on_response(question, answer_to(question.draft, status, headers=lines), now)


def trouble(known: Context, now: float) -> EndReason | None:
    return known.reach.health.trouble("vtr_1", PEER, now)


def test_the_question_is_a_plain_options() -> None:
    machine, _ = prober()
    question = ask(machine, 100.0)
    options = received(question.draft)
    assert (options.method, options.uri) == ("OPTIONS", "sip:198.51.100.1:5070")
    assert options.first("to") == "<sip:198.51.100.1:5070>"
    assert options.max_forwards == 70
    assert question.peer == PEER


def test_a_vendor_without_its_listener_is_not_asked() -> None:
    lost = VendorSip(probe=PROBED.probe, listener="outside")
    machine, _ = prober(VENDOR._replace(sip=lost))
    assert machine.on_timer(100.0) == []
    here = VendorSip(probe=PROBED.probe, listener="203.0.113.1")
    machine, _ = prober(VENDOR._replace(sip=here))
    assert ask(machine, 100.0).peer.manner == Manner(listener="203.0.113.1")


def test_it_asks_every_so_often_and_only_those_with_the_option() -> None:
    off = VendorPlace("vtr_2", "off", "198.51.100.2")
    disabled = VENDOR._replace(id="vtr_3", enabled=False)
    machine, _ = prober(VENDOR, off, disabled)
    answer(machine, ask(machine, 100.0), 200, 100.1)
    assert machine.deadline == 110.0
    assert machine.on_timer(109.9) == []
    assert ask(machine, 110.0).place == ("vtr_1", PEER)


def test_nobody_to_ask_is_never_due() -> None:
    machine = Prober(context())
    machine.use((), 1.0)
    assert machine.deadline == NEVER
    assert machine.on_timer(5.0) == []


def test_any_answer_but_503_is_a_sign_of_life() -> None:
    for status in (200, 404, 405, 481, 500, 603):
        machine, known = prober()
        for now in (100.0, 110.0, 120.0):
            answer(machine, ask(machine, now), status, now + 0.1)
        assert trouble(known, 121.0) is None, status


def test_silence_takes_it_down_and_answers_bring_it_back() -> None:
    machine, known = prober()
    ask(machine, 100.0)
    assert machine.deadline == 104.0
    machine.on_timer(104.0)
    assert trouble(known, 104.0) is None
    ask(machine, 110.0)
    machine.on_timer(114.0)
    assert trouble(known, 114.0) is EndReason.VENDOR_DOWN
    answer(machine, ask(machine, 120.0), 200, 120.1)
    assert trouble(known, 120.1) is EndReason.VENDOR_DOWN
    answer(machine, ask(machine, 130.0), 200, 130.1)
    assert trouble(known, 130.1) is None


def test_an_answer_that_comes_too_late_is_none() -> None:
    machine, known = prober()
    late = ask(machine, 100.0)
    machine.on_timer(104.0)
    answer(machine, late, 200, 104.5)
    ask(machine, 110.0)
    answer(machine, late, 200, 110.5)  # of the question before
    machine.on_timer(114.0)
    assert trouble(known, 114.0) is EndReason.VENDOR_DOWN


def test_what_cannot_be_sent_counts_as_silence() -> None:
    machine, known = prober()
    for now in (100.0, 110.0):
        machine.on_failure(ask(machine, now), 503, now)
    assert trouble(known, 110.0) is EndReason.VENDOR_DOWN
    (seen,) = known.reach.health.seen(110.0)
    assert seen.why == "OPTIONS cannot be delivered"


def test_503_is_a_failure_and_its_retry_after_is_obeyed_by_probes_too() -> None:
    machine, known = prober()
    answer(machine, ask(machine, 100.0), 503, 100.1, "Retry-After: 25")
    assert trouble(known, 100.1) is EndReason.VENDOR_BACKOFF
    assert machine.on_timer(110.0) == []
    assert machine.on_timer(120.0) == []
    assert ask(machine, 130.0).number == 2


def test_every_address_of_a_name_is_asked_and_a_new_one_soon() -> None:
    shared = context()
    names: dict[str, tuple[str, ...]] = {"sip.example": ("192.0.2.1",)}
    shared.reach = Reach(names, {}, draw=lambda: 0.0)
    vendor = VENDOR._replace(host="sip.example")
    machine, _ = prober(vendor, shared=shared)
    answer(machine, ask(machine, 100.0), 200, 100.1)
    names["sip.example"] = ("192.0.2.1", "192.0.2.2")
    machine.use((vendor,), 101.0)
    assert ask(machine, 101.1).peer.host == "192.0.2.2"
    assert machine.deadline == 105.1


def test_a_vendor_that_is_gone_is_forgotten() -> None:
    machine, known = prober()
    for now in (100.0, 110.0):
        machine.on_failure(ask(machine, now), 408, now)
    question = ask(machine, 120.0)
    machine.use((), 121.0)
    machine.on_failure(question, 408, 122.0)
    assert trouble(known, 122.0) is None
    assert list(known.reach.health.seen(122.0)) == []
