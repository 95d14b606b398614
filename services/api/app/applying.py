"""A whole switch from one document: checked wholly, then written in one transaction."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.api.app.objects import (
    Makers,
    Objects,
    author_of,
    configured,
    put_setting,
    with_passwords,
)
from services.api.app.tariffs import Tariffs
from services.api.core.apply import Entry, Existing, Step, plan
from services.api.core.keys import Caller, beyond
from services.api.core.kinds import TRAITS, Kind
from services.api.core.misfits import misfits
from services.api.core.problems import Forbidden, Problem, Rejected
from services.api.core.rate_sheet import Mode
from services.api.core.rates import Merged
from services.api.core.records import FieldChange, masked
from services.api.core.setting import view
from services.api.ports import Change, Configuration
from services.common.errors import Invalid


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one object of the document."""

    kind: Kind
    name: str
    id: str
    action: str
    """``created``, ``changed`` or ``unchanged``."""
    changes: Mapping[str, FieldChange] = field(default_factory=dict)
    rates: Merged | None = None


class Applying:
    """The use case of ``tandem apply``."""

    def __init__(
        self,
        configuration: Configuration,
        objects: Objects,
        tariffs: Tariffs,
        makers: Makers,
        utc_now: Callable[[], dt.datetime],
    ) -> None:
        self._configuration = configuration
        self._objects = objects
        self._tariffs = tariffs
        self._makers = makers
        self._utc_now = utc_now

    async def apply(
        self, entries: Sequence[Entry], caller: Caller, *, dry_run: bool
    ) -> list[Applied]:
        """Make the switch as described; what is not described stays as it is.

        Raises:
            Rejected: every problem of the document, each with its path; nothing was written.
            Forbidden: a user would get scopes that the caller does not hold.
        """
        _check_scopes(entries, caller)
        async with self._configuration.change(author_of(caller), dry_run=dry_run) as change:
            kinds = sorted({entry.kind for entry in entries} | _REFERRED)
            existing = Existing({kind: await change.all(kind) for kind in kinds})
            entries = _prepared(entries, existing)
            steps = plan(entries, existing, self._new_id)
            # One instant for the whole document, so that a second run finds what the first left.
            at = self._utc_now()
            applied = [await self._write(change, step, existing, at) for step in steps]
        await self._objects.told(change)
        return applied

    def _new_id(self, kind: Kind) -> str:
        return self._makers.new_id(TRAITS[kind].id_prefix)

    async def _write(
        self, change: Change, step: Step, existing: Existing, at: dt.datetime
    ) -> Applied:
        entry = step.entry
        if entry.kind is Kind.SETTING:
            before = existing.find(Kind.SETTING, entry.identity)
            await put_setting(change, before, entry.identity, entry.fields["value"])
        elif step.created:
            await self._create(change, step)
        elif step.fields:
            await self._update(change, step, existing)
        merged = await self._rates(change, step, at)
        action = "created" if step.created else "unchanged"
        if not step.created and (step.changed or (merged is not None and merged.touched)):
            action = "changed"
        return Applied(entry.kind, entry.identity, step.id, action, step.changed, merged)

    async def _create(self, change: Change, step: Step) -> None:
        kind = step.entry.kind
        fields = {"id": step.id, **step.fields}
        if kind is Kind.WEBHOOK and not fields.get("secret"):
            fields["secret"] = self._makers.new_secret()
        record = await change.insert(kind, fields)
        await change.audit("create", kind, step.id, None, configured(kind, record))

    async def _update(self, change: Change, step: Step, existing: Existing) -> None:
        kind = step.entry.kind
        before = existing.find(kind, step.entry.identity) or {}
        record = await change.update(kind, step.id, step.fields)
        shown = [configured(kind, one) for one in (before, record)]
        await change.audit("update", kind, step.id, *shown)

    async def _rates(self, change: Change, step: Step, at: dt.datetime) -> Merged | None:
        entry = step.entry
        if entry.rates is None:
            return None
        merged = await self._tariffs.merge(change, step.id, entry.rates, Mode.FULL, at)
        if merged.errors:
            raise Rejected(
                [
                    Problem(f"{entry.where}.rates[{one.row}].{one.column}", one.reason)
                    for one in merged.errors
                ]
            )
        if merged.touched:
            done = {"added": merged.added, "changed": merged.changed, "ended": merged.ended}
            await change.audit("import", Kind.RATE_DECK, step.id, None, masked(done))
        return merged


_REFERRED = {
    Kind.ACCOUNT, Kind.RATE_DECK, Kind.VENDOR_TRUNK, Kind.CUSTOMER_TRUNK, Kind.SETTING,
}  # fmt: skip


def _prepared(entries: Sequence[Entry], existing: Existing) -> list[Entry]:
    """Entries with their passwords as they are stored, for the realm of the document itself."""
    given = {one.identity: one.fields for one in entries if one.kind is Kind.SETTING}
    stored = given.get("sip_realm") or existing.find(Kind.SETTING, "sip_realm")
    realm = str(stored["value"] if stored else view("sip_realm", None)["value"])
    done: list[Entry] = []
    problems: list[Problem] = []
    for entry in entries:
        before = existing.find(entry.kind, entry.identity) or {}
        try:
            fields = with_passwords(entry.kind, entry.fields, before, realm, f"{entry.where}.")
        except Invalid as error:
            problems.append(Problem(error.field, error.reason))
        else:
            done.append(replace(entry, fields=fields))
            if entry.kind is Kind.VENDOR_TRUNK:
                # An existing one keeps what the document does not name.
                kept = {name: before[name] for name in before.keys() - entry.given}
                problems += misfits({**fields, **kept}, f"{entry.where}.")
    if problems:
        raise Rejected(problems)
    return done


def _check_scopes(entries: Sequence[Entry], caller: Caller) -> None:
    for entry in entries:
        scopes = entry.fields.get("scopes")
        asked = scopes if entry.kind is Kind.USER and isinstance(scopes, list) else []
        if missing := beyond(caller.scopes, asked):
            raise Forbidden(missing[0])
