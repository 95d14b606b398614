import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.rating.core.credit import Backing
from services.rating.core.lease import FORGET_AFTER_S, WINDOW_S, AccountLease, GiveBack


def fresh() -> AccountLease:
    numbers = itertools.count(1)
    return AccountLease("acc_1", lambda: f"lea_{next(numbers)}")


def filled(
    units: int = 1000, *, headroom: int = 10_000, valid_until: float = 60.0
) -> AccountLease:
    lease = fresh()
    lease.refilled(units, valid_until=valid_until, headroom=headroom)
    return lease


def test_a_lease_without_money_has_no_room() -> None:
    assert fresh().room(0.0) == 0
    assert not fresh().is_held


def test_reservations_take_room_and_release_gives_it_back() -> None:
    lease = filled()
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    assert (lease.room(0.0), lease.reserved, lease.calls) == (400, 600, 1)
    assert lease.backing("cal_1") == Backing("lea_1", 600, 1)
    lease.release("cal_1")
    lease.release("cal_1")
    assert (lease.room(0.0), lease.reserved, lease.calls) == (1000, 0, 0)


def test_an_extension_adds_to_the_reservation_and_names_a_new_turn() -> None:
    lease = filled()
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    lease.reserve("cal_1", 200, paid_ms=80_000, now=50.0)
    assert lease.backing("cal_1") == Backing("lea_1", 800, 2)
    assert lease.room(50.0) == 200


def test_nothing_is_reserved_from_a_lease_about_to_expire_until_it_is_renewed() -> None:
    lease = filled(valid_until=60.0)
    assert (lease.room(59.9), lease.room(60.0)) == (1000, 0)
    lease.renewed(valid_until=80.0)
    assert lease.room(60.0) == 1000


def test_settling_takes_the_price_and_frees_the_rest() -> None:
    lease = filled()
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    lease.settled("cal_1", lease.backing("cal_1"), 250, booked_here=True)
    assert (lease.amount, lease.room(0.0)) == (750, 750)


def test_a_repeated_settlement_takes_nothing() -> None:
    lease = filled()
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    backing = lease.backing("cal_1")
    lease.settled("cal_1", backing, 250, booked_here=True)
    lease.settled("cal_1", backing, 250, booked_here=False)
    assert lease.amount == 750


def test_a_call_booked_against_our_row_costs_us_even_when_we_had_forgotten_it() -> None:
    lease = filled()
    lease.settled("cal_1", Backing("lea_1", 600, 1), 250, booked_here=True)
    assert lease.amount == 750


def test_a_call_dearer_than_its_reservation_leaves_no_negative_room() -> None:
    lease = filled(100)
    lease.settled("cal_1", Backing("lea_1", 50, 1), 250, booked_here=True)
    assert (lease.amount, lease.room(0.0)) == (0, 0)


def test_the_end_of_a_call_that_moved_to_another_lease_takes_its_money_along() -> None:
    lease = filled()
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    lease.settled("cal_1", Backing("lea_other", 900, 2), 700, booked_here=False)
    assert (lease.amount, lease.room(0.0)) == (400, 400)


def test_an_older_name_of_a_call_we_took_over_is_no_move() -> None:
    lease = filled(0)
    lease.adopted("cal_1", 600, turn=3, valid_until=60.0, now=0.0)
    lease.settled("cal_1", Backing("lea_dead", 600, 2), 100, booked_here=True)
    assert (lease.amount, lease.reserved) == (600, 0)


def test_an_unanswered_call_of_unknown_backing_just_frees() -> None:
    lease = filled()
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    lease.settled("cal_1", None, 0, booked_here=False)
    assert lease.room(0.0) == 1000


def test_an_adopted_reservation_brings_its_money_with_it() -> None:
    lease = fresh()
    lease.adopted("cal_1", 600, turn=2, valid_until=60.0, now=0.0)
    assert (lease.amount, lease.reserved, lease.room(0.0)) == (600, 600, 0)
    assert lease.backing("cal_1") == Backing("lea_1", 600, 2)


def test_what_the_row_holds_beyond_our_knowledge_becomes_ours_again() -> None:
    lease = filled()
    lease.reconcile(1200, generation=lease.generation, now=0.0)
    assert lease.amount == 1200
    lease.reconcile(900, generation=lease.generation, now=0.0)
    assert lease.amount == 1200


def test_a_look_at_the_row_that_crossed_a_change_proves_nothing() -> None:
    lease = filled()
    generation = lease.generation
    lease.settled("cal_1", Backing("lea_1", 0, 1), 300, booked_here=True)
    lease.reconcile(1000, generation=generation, now=0.0)
    assert lease.amount == 700


def test_nothing_is_concluded_while_the_outcome_of_a_change_is_unknown() -> None:
    lease = filled()
    lease.outcome_unknown(0.0, 60.0)
    lease.reconcile(1200, generation=lease.generation, now=59.0)
    assert lease.amount == 1000
    lease.reconcile(1200, generation=lease.generation, now=60.0)
    assert lease.amount == 1200


def test_a_lost_lease_backs_nothing_and_gets_a_new_name() -> None:
    lease = filled()
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    lease.lost()
    assert (lease.amount, lease.reserved, lease.calls, lease.is_held) == (0, 0, 0, False)
    assert lease.lease_id == "lea_2"


def test_a_lost_lease_whose_row_was_made_anew_keeps_its_name() -> None:
    lease = filled()
    lease.lost(is_replaced=True)
    assert lease.lease_id == "lea_1"


def test_a_reservation_without_a_word_is_forgotten_with_its_money() -> None:
    lease = filled()
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    assert lease.forget_overdue(60.0 + FORGET_AFTER_S - 1) == 0
    assert lease.forget_overdue(60.0 + FORGET_AFTER_S) == 1
    assert (lease.amount, lease.reserved) == (400, 0)


def test_an_idle_lease_is_closed_whole_and_gets_a_new_name() -> None:
    lease = filled()
    assert lease.give_back(0.0) == GiveBack("acc_1", "lea_1", None)
    assert (lease.amount, lease.is_held, lease.lease_id) == (0, False, "lea_2")
    assert lease.give_back(0.0) is None


def test_a_busy_lease_keeps_what_it_needs_for_some_windows() -> None:
    lease = filled(10_000, headroom=100_000)
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    assert lease.give_back(10.0 - 0.001) == GiveBack("acc_1", "lea_1", 10_000 - 600 - 4 * 600)
    assert lease.give_back(WINDOW_S) is None
    lease.release("cal_1")
    assert lease.give_back(WINDOW_S + 1) == GiveBack("acc_1", "lea_1", 600)
    # Two windows without a call: nothing is kept.
    assert lease.give_back(3 * WINDOW_S + 2) == GiveBack("acc_1", "lea_1", None)


def test_a_poor_account_gets_back_at_once_what_is_free() -> None:
    lease = filled(1000, headroom=0)
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    assert lease.give_back(0.1) == GiveBack("acc_1", "lea_1", 400)
    lease.headroom = 0
    lease.release("cal_1")
    assert lease.give_back(0.2) == GiveBack("acc_1", "lea_1", None)


def test_closing_down_returns_all_that_is_not_reserved() -> None:
    lease = filled()
    lease.reserve("cal_1", 600, paid_ms=60_000, now=0.0)
    assert lease.give_back_all() == GiveBack("acc_1", "lea_1", 400)
    assert lease.give_back_all() is None
    assert fresh().give_back_all() is None


def test_demand_follows_the_rate_of_calls() -> None:
    lease = filled(100_000)
    assert lease.demand(0.0) == 0
    for n in range(5):
        lease.reserve(f"cal_{n}", 100, paid_ms=1, now=float(n))
    assert lease.demand(4.0) == 1250, "500 in four seconds"
    assert lease.demand(9.0) == 555
    assert lease.demand(WINDOW_S) == 500
    lease.reserve("cal_x", 100, paid_ms=1, now=WINDOW_S + 5)
    assert lease.demand(WINDOW_S + 5) == 500, "the window before was busier"
    assert lease.demand(4 * WINDOW_S) == 0


def test_a_first_call_counts_as_one_a_second_and_no_more() -> None:
    lease = filled(100_000)
    lease.reserve("cal_1", 100, paid_ms=1, now=0.0)
    assert lease.demand(0.0) == 1000


def test_a_lease_that_runs_low_is_filled_up_before_it_is_empty() -> None:
    lease = filled(2_600)
    lease.reserve("cal_1", 500, paid_ms=1, now=0.0)
    assert lease.demand(5.0) == 1000
    assert lease.ahead(5.0) == 0, "2,100 is enough for two windows"
    lease.reserve("cal_2", 250, paid_ms=1, now=10.0 - 0.001)
    assert lease.ahead(WINDOW_S) == 0
    lease.reserve("cal_3", 400, paid_ms=1, now=WINDOW_S)
    assert lease.ahead(WINDOW_S + 8) == 3 * 750 - 1450


@pytest.mark.parametrize("units", [0, 1, 999, 1000])
def test_room_and_reserved_add_up(units: int) -> None:
    lease = filled()
    lease.reserve("cal_1", units, paid_ms=1, now=0.0)
    assert lease.room(0.0) + lease.reserved == lease.amount


@dataclass
class _Call:
    """A call as signaling knows it, and who has heard of its end."""

    backing: Backing
    holder: int
    price: int | None = None
    unheard: set[int] = field(default_factory=set)


class Processes(RuleBasedStateMachine):
    """Two processes, one account, rows that change at once and news that travels in any order.

    The model of the rows is what the SQL does (tested on the real server); what is proved here
    is that no machine ever believes free what its row does not hold beyond its live calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self.balance = 5_000
        self.rows: dict[str, int] = {}
        names = itertools.count(1)
        self.leases = [AccountLease("acc_1", lambda: f"lea_{next(names)}") for _ in range(2)]
        self.calls: dict[str, _Call] = {}
        self.numbers = itertools.count(1)
        self.now = 0.0
        self.looks: list[tuple[int, str, int, int]] = []
        self.returns: list[GiveBack] = []

    def unleased(self) -> int:
        return self.balance - sum(self.rows.values())

    @rule(who=st.integers(0, 1), units=st.integers(1, 400), extra=st.integers(0, 300))
    def authorize(self, who: int, units: int, extra: int) -> None:
        lease = self.leases[who]
        if lease.room(self.now) < units:
            self.refill(lease, units - lease.room(self.now), extra)
        if lease.room(self.now) >= units:
            call_id = f"cal_{next(self.numbers)}"
            lease.reserve(call_id, units, paid_ms=1000, now=self.now)
            self.calls[call_id] = _Call(lease.backing(call_id), who)

    def refill(self, lease: AccountLease, need: int, extra: int) -> None:
        room = self.unleased()
        granted = 0 if room < need else min(need + extra, room)
        is_new = lease.lease_id not in self.rows
        if granted:
            self.rows[lease.lease_id] = self.rows.get(lease.lease_id, 0) + granted
            if is_new and lease.is_held:
                self.forget_calls_of(lease)
                lease.lost(is_replaced=True)
        lease.refilled(granted, valid_until=self.now + 1e9, headroom=room - granted)

    def forget_calls_of(self, lease: AccountLease) -> None:
        for call in self.calls.values():
            call.unheard.discard(self.leases.index(lease))

    @precondition(lambda self: any(c.price is None for c in self.calls.values()))
    @rule(data=st.data(), who=st.integers(0, 1))
    def move(self, data: st.DataObject, who: int) -> None:
        """An extension reaches a process that does not hold the call."""
        call_id = data.draw(st.sampled_from(sorted(self.live())))
        call = self.calls[call_id]
        lease = self.leases[who]
        held = lease.reservation(call_id)
        if held is not None and call.backing.turn > held.turn:
            lease.moved_away(call_id)
            held = None
        if held is not None or call.backing.lease_id == lease.lease_id:
            return
        moved = min(self.rows.get(call.backing.lease_id, 0), call.backing.units)
        if moved:
            self.rows[call.backing.lease_id] -= moved
            is_new = lease.lease_id not in self.rows
            self.rows[lease.lease_id] = self.rows.get(lease.lease_id, 0) + moved
            if is_new and lease.is_held:
                lease.lost(is_replaced=True)
        lease.adopted(
            call_id, moved, turn=call.backing.turn + 1, valid_until=self.now + 1e9, now=self.now
        )
        call.backing, call.holder = lease.backing(call_id), who

    def live(self) -> list[str]:
        return [call_id for call_id, call in self.calls.items() if call.price is None]

    @precondition(lambda self: any(c.price is None for c in self.calls.values()))
    @rule(data=st.data(), share=st.integers(0, 100), who=st.integers(0, 1))
    def end(self, data: st.DataObject, share: int, who: int) -> None:
        """A call ends, is booked by one process; the other will hear of it."""
        call = self.calls[call_id := data.draw(st.sampled_from(sorted(self.live())))]
        call.price = call.backing.units * share // 100
        row = self.rows.get(call.backing.lease_id, 0)
        taken = min(row, call.price)
        if taken:
            self.rows[call.backing.lease_id] = row - taken
        self.balance -= call.price
        self.leases[who].settled(call_id, call.backing, call.price, booked_here=call.price > 0)
        call.unheard = {1 - who}

    @precondition(lambda self: any(c.unheard for c in self.calls.values()))
    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        unheard = sorted(call_id for call_id, call in self.calls.items() if call.unheard)
        call_id = data.draw(st.sampled_from(unheard))
        call = self.calls[call_id]
        who = call.unheard.pop()
        assert call.price is not None
        self.leases[who].settled(call_id, call.backing, call.price, booked_here=False)

    @rule(who=st.integers(0, 1), later=st.floats(0, 15))
    def give_back(self, who: int, later: float) -> None:
        """Taken out of memory now, out of the row later."""
        self.now += later
        back = self.leases[who].give_back(self.now)
        if back is not None:
            self.returns.append(back)

    @rule(data=st.data())
    @precondition(lambda self: self.returns)
    def returned(self, data: st.DataObject) -> None:
        back = self.returns.pop(data.draw(st.integers(0, len(self.returns) - 1)))
        if back.units is None:
            self.rows.pop(back.lease_id, None)
        elif back.lease_id in self.rows:
            self.rows[back.lease_id] -= min(back.units, self.rows[back.lease_id])

    @rule(who=st.integers(0, 1))
    @precondition(lambda self: not self.returns)
    def look(self, who: int) -> None:
        lease = self.leases[who]
        if lease.lease_id in self.rows:
            held = self.rows[lease.lease_id]
            self.looks.append((who, lease.lease_id, held, lease.generation))

    @rule()
    @precondition(lambda self: self.looks and not self.returns)
    def looked(self) -> None:
        who, lease_id, held, generation = self.looks.pop()
        if self.leases[who].lease_id == lease_id:
            self.leases[who].reconcile(held, generation=generation, now=self.now)

    @invariant()
    def rows_never_exceed_the_money(self) -> None:
        assert all(amount >= 0 for amount in self.rows.values())
        assert sum(self.rows.values()) <= self.balance

    @invariant()
    def nothing_free_is_bound_or_gone(self) -> None:
        for who, lease in enumerate(self.leases):
            live = sum(
                call.backing.units
                for call in self.calls.values()
                if call.price is None
                and call.holder == who
                and call.backing.lease_id == lease.lease_id
            )
            pending = sum(
                back.units or 0 for back in self.returns if back.lease_id == lease.lease_id
            )
            held = self.rows.get(lease.lease_id, 0)
            assert lease.room(self.now) <= held - live - pending


TestProcesses = Processes.TestCase
TestProcesses.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
