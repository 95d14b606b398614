"""Snapshots: indexes over one revision."""

from tests.unit.routing.core.switch import customer, row, switch, vendor


def test_vendors_are_vetted_once_per_customer() -> None:
    buyer = customer(vendors=frozenset({"vtr_a"}))
    snapshot = switch(vendor("b", row("")), vendor("a", row("")), buyer=buyer)
    vetted = snapshot.vetted(buyer)
    assert [trunk.id for trunk in vetted.usable] == ["vtr_a"]
    assert [each.vendor_trunk_id for each in vetted.dropped] == ["vtr_b"]
    assert snapshot.vetted(buyer) is vetted


def test_rows_of_a_shared_deck_count_once() -> None:
    one = vendor("a", row("4"), row("49"))
    other = vendor("b", rates=one.rates)
    assert switch(one, other).rates == 3


def test_vendors_stand_in_a_stable_order() -> None:
    snapshot = switch(vendor("b"), vendor("a"), vendor("c"))
    assert [trunk.id for trunk in snapshot.vendors] == ["vtr_a", "vtr_b", "vtr_c"]


def test_priced_decks_are_known_by_deck_and_account() -> None:
    trunk = vendor("a", row(""))
    buyer = customer()
    assert switch(trunk, buyer=buyer).priced_decks() == {
        ("dck_a", "acc_a"): trunk.rates,
        ("dck_sell", "acc_C"): buyer.rates,
    }


def test_vendors_by_id_before_name_before_host() -> None:
    one = vendor("one", host="2001:db8::1", port=5070)
    two = vendor("two", host="one")
    three = vendor("vtr_one")
    snapshot = switch(one, two, three)
    assert snapshot.vendor_named("vtr_one") is one
    assert snapshot.vendor_named("one") is one
    assert snapshot.vendor_named(" ONE ") is one
    assert snapshot.vendor_named("one:5060") is two
    assert snapshot.vendor_named("[2001:DB8::1]:5070") is one
    assert snapshot.vendor_named("nobody") is None
    assert snapshot.vendor_named("") is None
