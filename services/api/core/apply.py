"""A whole switch in one document: names become ids, wrong ones are refused with their path."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from services.api.core.kinds import TRAITS, Kind
from services.api.core.problems import Problem, Rejected
from services.api.core.rate_sheet import SheetRate
from services.api.core.records import FieldChange, Record, changes
from services.api.core.setting import problems as setting_problems

SECTIONS: dict[str, Kind] = {
    "accounts": Kind.ACCOUNT,
    "rate_decks": Kind.RATE_DECK,
    "vendor_trunks": Kind.VENDOR_TRUNK,
    "customer_trunks": Kind.CUSTOMER_TRUNK,
    "users": Kind.USER,
    "webhooks": Kind.WEBHOOK,
    "settings": Kind.SETTING,
}
"""In the order in which they are written: what is referred to comes first."""

_REFERENCES: dict[Kind, tuple[tuple[str, str, Kind], ...]] = {
    Kind.CUSTOMER_TRUNK: (
        ("account", "account_id", Kind.ACCOUNT),
        ("rate_deck", "rate_deck_id", Kind.RATE_DECK),
        ("vendor_trunks", "vendor_trunk_ids", Kind.VENDOR_TRUNK),
    ),
    Kind.VENDOR_TRUNK: (
        ("account", "account_id", Kind.ACCOUNT),
        ("rate_deck", "rate_deck_id", Kind.RATE_DECK),
    ),
}

_FIXED = {Kind.ACCOUNT: ("currency",), Kind.RATE_DECK: ("currency",)}
"""Fields that never change once money was counted in them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of the document."""

    where: str
    """``accounts[0]``."""
    kind: Kind
    fields: Record
    """All fields, defaults included; references by name."""
    given: frozenset[str]
    """The fields the document names: an existing object keeps the others."""
    rates: Sequence[SheetRate] | None = None
    """The whole deck, when the document lists its rates."""

    @property
    def identity(self) -> str:
        """Its name."""
        return str(self.fields[TRAITS[self.kind].identity])


@dataclass(frozen=True, slots=True)
class Existing:
    """The objects there are, by kind and name."""

    by_name: Mapping[Kind, Mapping[str, Record]]

    def find(self, kind: Kind, name: str) -> Record | None:
        """The object of that name."""
        return self.by_name.get(kind, {}).get(name)


@dataclass(frozen=True, slots=True)
class Step:
    """One object to write, or to leave as it is."""

    entry: Entry
    id: str
    fields: Record
    """All of them when created, otherwise the changed ones; references by id."""
    created: bool
    changed: Mapping[str, FieldChange] = field(default_factory=dict)


def plan(
    entries: Sequence[Entry], existing: Existing, new_id: Callable[[Kind], str]
) -> list[Step]:
    """What has to be written, in order.

    Raises:
        Rejected: every wrong reference, double name, taken address and setting that is unknown
            or not acceptable; write nothing.
    """
    problems = [
        *_doubles(entries),
        *_fixed(entries, existing),
        *_addresses(entries, existing),
        *_settings(entries),
    ]
    known = _Known(entries, existing, new_id)
    steps: list[Step] = []
    for entry in sorted(entries, key=lambda one: list(SECTIONS.values()).index(one.kind)):
        resolved, wrong = known.resolve(entry)
        problems += wrong
        if not wrong:
            problems += known.mismatch(entry, resolved)
        steps.append(_step(entry, resolved, existing, known.id_of(entry.kind, entry.identity)))
    if problems:
        raise Rejected(problems)
    return steps


def _step(entry: Entry, resolved: Record, existing: Existing, identity: str) -> Step:
    before = existing.find(entry.kind, entry.identity)
    if before is None:
        return Step(entry, identity, resolved, created=True)
    targets = {old: new for old, new, _ in _REFERENCES.get(entry.kind, ())}
    given = {targets.get(name, name) for name in entry.given}
    wanted = {name: value for name, value in resolved.items() if name in given}
    found = changes(before, wanted)
    return Step(
        entry, identity, {name: wanted[name] for name in found}, created=False, changed=found
    )


class _Known:
    """Ids and currencies of everything that exists or is about to."""

    def __init__(
        self, entries: Sequence[Entry], existing: Existing, new_id: Callable[[Kind], str]
    ) -> None:
        self._ids: dict[tuple[Kind, str], str] = {}
        self._currencies: dict[str, object] = {}
        for kind, objects in existing.by_name.items():
            for name, record in objects.items():
                self._ids[kind, name] = str(record.get("id", name))
                self._currencies[self._ids[kind, name]] = record.get("currency")
        for entry in entries:
            key = (entry.kind, entry.identity)
            if key not in self._ids:
                self._ids[key] = new_id(entry.kind)
                self._currencies[self._ids[key]] = entry.fields.get("currency")
        self._existing = existing

    def id_of(self, kind: Kind, name: str) -> str:
        return self._ids[kind, name]

    def resolve(self, entry: Entry) -> tuple[Record, list[Problem]]:
        """``entry`` with ids in place of names."""
        fields, problems = dict(entry.fields), []
        for source, target, kind in _REFERENCES.get(entry.kind, ()):
            names = fields.pop(source, None)
            if isinstance(names, list | tuple):
                found = [self._ids.get((kind, str(name))) for name in names]
                problems += [
                    _unknown(f"{entry.where}.{source}[{index}]", kind, str(names[index]))
                    for index, identity in enumerate(found)
                    if identity is None
                ]
                fields[target] = found
            elif names is not None:
                fields[target] = self._ids.get((kind, str(names)))
                if fields[target] is None:
                    problems.append(_unknown(f"{entry.where}.{source}", kind, str(names)))
        return fields, problems

    def mismatch(self, entry: Entry, resolved: Record) -> Iterable[Problem]:
        """A trunk's account and deck count in one currency."""
        if entry.kind not in _REFERENCES:
            return
        account = self._currencies.get(str(resolved.get("account_id")))
        deck = self._currencies.get(str(resolved.get("rate_deck_id")))
        if account != deck:
            reason = f"the deck is in {deck}, the account in {account}"
            yield Problem(f"{entry.where}.rate_deck", reason, "currency_mismatch")


def _unknown(where: str, kind: Kind, name: str) -> Problem:
    return Problem(where, f"there is no {kind} named {name!r}", "unknown_reference")


def _doubles(entries: Sequence[Entry]) -> Iterable[Problem]:
    first: dict[tuple[Kind, str], str] = {}
    for entry in entries:
        seen = first.setdefault((entry.kind, entry.identity), entry.where)
        if seen != entry.where:
            field_name = TRAITS[entry.kind].identity
            yield Problem(
                f"{entry.where}.{field_name}", f"is also the name of {seen}", "duplicate"
            )


def _fixed(entries: Sequence[Entry], existing: Existing) -> Iterable[Problem]:
    for entry in entries:
        before = existing.find(entry.kind, entry.identity)
        for name in _FIXED.get(entry.kind, ()):
            if before is not None and name in entry.given and before[name] != entry.fields[name]:
                reason = f"is {before[name]} and cannot change"
                yield Problem(f"{entry.where}.{name}", reason, "immutable")


def _addresses(entries: Sequence[Entry], existing: Existing) -> Iterable[Problem]:
    """One owner per address, prefix and From user, and per username, after the whole document."""
    described = [entry for entry in entries if entry.kind is Kind.CUSTOMER_TRUNK]
    names = {entry.identity for entry in described}
    owner: dict[object, str] = {}
    for name, trunk in existing.by_name.get(Kind.CUSTOMER_TRUNK, {}).items():
        if name not in names:
            owner |= {key: name for key, _, _ in _unique(trunk)}
    for entry in described:
        before = existing.find(entry.kind, entry.identity) or {}
        given = {name: entry.fields[name] for name in entry.given if name in entry.fields}
        for key, shown, place in _unique({**entry.fields, **before, **given}):
            holder = owner.setdefault(key, entry.identity)
            if holder != entry.identity:
                reason = f"{shown} belongs to customer trunk {holder!r}"
                yield Problem(f"{entry.where}.{place}", reason, "duplicate")


def _unique(trunk: Mapping[str, object]) -> Iterable[tuple[object, object, str]]:
    """What only one trunk may have: as a key, for people, and where it stands."""
    apart = (trunk.get("tech_prefix", ""), trunk.get("from_user", ""))
    for index, address in enumerate(_list(trunk, "addresses")):
        yield ("address", address, *apart), address, f"addresses[{index}]"
    for index, credential in enumerate(_list(trunk, "credentials")):
        if isinstance(credential, Mapping):
            username = credential.get("username")
            yield ("username", username), username, f"credentials[{index}].username"


def _settings(entries: Sequence[Entry]) -> Iterable[Problem]:
    for entry in entries:
        if entry.kind is Kind.SETTING:
            # What is no name may have dots in it, which would be taken for steps of the path.
            name_at = entry.where if entry.identity.isidentifier() else "settings"
            value = entry.fields["value"]
            yield from setting_problems(
                entry.identity, value, name_at=name_at, value_at=entry.where
            )


def _list(record: Mapping[str, object], name: str) -> list[object]:
    value = record.get(name)
    return list(value) if isinstance(value, list | tuple) else []
