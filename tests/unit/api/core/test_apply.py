from services.api.core.apply import Entry, Existing, Step, plan
from services.api.core.kinds import Kind
from services.api.core.problems import Rejected
from services.api.core.records import Record

NOTHING = Existing({})


def new_id(kind: Kind) -> str:
    return f"new-{kind}"


def account(name: str, where: str = "accounts[0]", **fields: object) -> Entry:
    whole: Record = {"name": name, "currency": "USD", "enabled": True, **fields}
    return Entry(where, Kind.ACCOUNT, whole, frozenset({"name", "currency", *fields}))


def deck(name: str, currency: str = "USD") -> Entry:
    fields: Record = {"name": name, "currency": currency}
    return Entry("rate_decks[0]", Kind.RATE_DECK, fields, frozenset(fields))


def trunk(where: str = "customer_trunks[0]", **fields: object) -> Entry:
    whole: Record = {"name": "in", "account": "a", "rate_deck": "d", "vendor_trunks": [], **fields}
    return Entry(where, Kind.CUSTOMER_TRUNK, whole, frozenset(whole))


def refused(*entries: Entry, existing: Existing = NOTHING) -> dict[str, str]:
    try:
        plan(entries, existing, new_id)
    except Rejected as error:
        return {one.where: one.code for one in error.problems}
    return {}


def step(*entries: Entry, existing: Existing) -> Step:
    return plan(entries, existing, new_id)[-1]


def test_what_is_referred_to_comes_first_and_gets_its_id() -> None:
    steps = plan([trunk(), deck("d"), account("a")], NOTHING, new_id)
    assert [one.entry.kind for one in steps] == [
        Kind.ACCOUNT,
        Kind.RATE_DECK,
        Kind.CUSTOMER_TRUNK,
    ]
    assert steps[-1].fields["account_id"] == "new-account"
    assert steps[-1].fields["rate_deck_id"] == "new-rate_deck"
    assert "account" not in steps[-1].fields


def test_wrong_references_are_named_by_path() -> None:
    assert refused(trunk(vendor_trunks=["x", "y"]), account("a")) == {
        "customer_trunks[0].rate_deck": "unknown_reference",
        "customer_trunks[0].vendor_trunks[0]": "unknown_reference",
        "customer_trunks[0].vendor_trunks[1]": "unknown_reference",
    }


def test_existing_objects_can_be_referred_to() -> None:
    existing = Existing(
        {
            Kind.ACCOUNT: {"a": {"id": "acc_9", "name": "a", "currency": "USD"}},
            Kind.RATE_DECK: {"d": {"id": "dck_9", "name": "d", "currency": "USD"}},
        }
    )
    assert step(trunk(), existing=existing).fields["account_id"] == "acc_9"


def test_two_of_one_name() -> None:
    assert refused(account("a"), account("a", "accounts[1]")) == {"accounts[1].name": "duplicate"}


def test_account_and_deck_count_in_one_currency() -> None:
    found = refused(account("a"), deck("d", "EUR"), trunk())
    assert found == {"customer_trunks[0].rate_deck": "currency_mismatch"}


def test_currency_never_changes() -> None:
    existing = Existing({Kind.ACCOUNT: {"a": {"id": "1", "name": "a", "currency": "EUR"}}})
    assert refused(account("a"), existing=existing) == {"accounts[0].currency": "immutable"}


def test_address_of_another_trunk() -> None:
    parties = (account("a"), deck("d"))
    mine = trunk(addresses=["192.0.2.1"])
    other: Record = {"id": "ctr_1", "name": "other", "addresses": ["192.0.2.1"]}
    existing = Existing({Kind.CUSTOMER_TRUNK: {"other": other}})
    taken = {"customer_trunks[0].addresses[0]": "duplicate"}
    assert refused(*parties, mine, existing=existing) == taken
    # The document itself moves the address away: then it is free.
    moved = trunk("customer_trunks[1]", name="other", addresses=["192.0.2.2"])
    assert refused(*parties, mine, moved, existing=existing) == {}
    both = trunk("customer_trunks[1]", name="third", addresses=["192.0.2.1"])
    assert refused(*parties, mine, both) == {"customer_trunks[1].addresses[0]": "duplicate"}


def test_fields_left_out_keep_their_value() -> None:
    before: Record = {"id": "acc_1", "name": "a", "currency": "USD", "enabled": False}
    existing = Existing({Kind.ACCOUNT: {"a": before}})
    same = step(account("a"), existing=existing)
    assert (same.created, same.fields) == (False, {})
    changed = step(account("a", enabled=True), existing=existing)
    assert changed.fields == {"enabled": True}
    assert changed.changed["enabled"] == (False, True)


def setting(name: str, value: object) -> Entry:
    fields: Record = {"name": name, "value": value}
    return Entry(f"settings.{name}", Kind.SETTING, fields, frozenset({"value"}))


def test_settings_are_known_and_have_values_they_may_have() -> None:
    assert refused(
        setting("max_call_s", "abc"),
        setting("reply_to_unknown", True),
        setting("max_cal_s", 600),
        account("a"),
        account("a", "accounts[1]"),
    ) == {
        "settings.max_call_s": "invalid",
        "settings.max_cal_s": "unknown_setting",
        "accounts[1].name": "duplicate",
    }
    assert refused(setting("a.b[0]", 1)) == {"settings": "unknown_setting"}


def stored_trunk(name: str, **fields: object) -> Record:
    return {"id": name, "name": name, "addresses": [], "tech_prefix": "", "from_user": "",
            "credentials": [], **fields}  # fmt: skip


def test_an_address_may_be_shared_by_who_is_told_apart() -> None:
    others = {
        "other": stored_trunk("other", addresses=["192.0.2.1"], tech_prefix="22"),
        "third": stored_trunk("third", addresses=["192.0.2.1"], from_user="1000"),
    }
    existing = Existing({Kind.CUSTOMER_TRUNK: others})
    described = [trunk(addresses=["192.0.2.1"], tech_prefix="11"), account("a"), deck("d")]
    assert refused(*described, existing=existing) == {}
    others["third"] = stored_trunk("third", addresses=["192.0.2.1"], tech_prefix="11")
    existing = Existing({Kind.CUSTOMER_TRUNK: others})
    assert refused(*described, existing=existing) == {
        "customer_trunks[0].addresses[0]": "duplicate"
    }


def test_a_prefix_that_no_longer_tells_apart_is_refused() -> None:
    taken = stored_trunk("other", addresses=["192.0.2.1"])
    mine = stored_trunk("in", addresses=["192.0.2.1"], tech_prefix="11")
    existing = Existing({Kind.CUSTOMER_TRUNK: {"other": taken, "in": mine}})
    entry = trunk(tech_prefix="")
    assert refused(entry, account("a"), deck("d"), existing=existing) == {
        "customer_trunks[0].addresses[0]": "duplicate"
    }


def test_a_username_belongs_to_one_trunk() -> None:
    alice = [{"username": "alice", "realm": "sip", "ha1": {}}]
    existing = Existing({Kind.CUSTOMER_TRUNK: {"other": stored_trunk("other", credentials=alice)}})
    assert refused(trunk(credentials=alice), account("a"), deck("d"), existing=existing) == {
        "customer_trunks[0].credentials[0].username": "duplicate"
    }
