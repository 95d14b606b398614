"""Configuration objects: list, read, create, change, remove; every write audited."""

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.api.core.keys import PREFIX, Caller, beyond, hash_key
from services.api.core.kinds import TRAITS, Kind
from services.api.core.misfits import misfits
from services.api.core.passwords import restored, stored_credentials
from services.api.core.problems import Forbidden, NotFound, Rejected, Stale
from services.api.core.records import Record, changes, etag, masked, matches
from services.api.core.setting import SETTINGS, problems, view, views
from services.api.ports import Announcer, Author, Change, Configuration
from services.common.errors import Invalid

_MOST_SETTINGS = 1000
"""More than will ever be known."""


def author_of(caller: Caller) -> Author:
    """How the audit log knows a caller."""
    return Author(caller.actor, caller.source)


def tag_of(kind: Kind, record: Record) -> str:
    """The ETag of an object."""
    return etag(record, computed=TRAITS[kind].computed)


def configured(kind: Kind, record: Mapping[str, object]) -> Record:
    """The part of an object that was configured, fit for the audit log."""
    computed = TRAITS[kind].computed
    return masked({name: value for name, value in record.items() if name not in computed})


@dataclass(frozen=True, slots=True)
class Makers:
    """What is random or reads the clock."""

    new_id: Callable[[str], str]
    new_key: Callable[[], str]
    """The text of a new API key."""
    new_secret: Callable[[], str]
    """The text of a new webhook secret."""
    utc_now: Callable[[], dt.datetime]


class Objects:
    """The use cases that all kinds share, and the few that one kind adds."""

    def __init__(
        self,
        configuration: Configuration,
        announcer: Announcer,
        makers: Makers,
        on_change: Callable[[], None],
    ) -> None:
        self._configuration = configuration
        self._announcer = announcer
        self._makers = makers
        self._on_change = on_change

    async def get(self, kind: Kind, identity: str) -> Record:
        """One object. Raises: NotFound."""
        return await self._configuration.get(kind, identity)

    async def page(
        self, kind: Kind, *, after: str, limit: int, filters: Mapping[str, str]
    ) -> list[Record]:
        """Objects in the order of their creation."""
        return await self._configuration.page(kind, after=after, limit=limit, filters=filters)

    async def audit_page(
        self, *, before: str, limit: int, filters: Mapping[str, str]
    ) -> list[Record]:
        """Audit events, newest first."""
        return await self._configuration.audit_page(before=before, limit=limit, filters=filters)

    async def create(self, kind: Kind, fields: Record, caller: Caller) -> Record:
        """Create one. Raises: AlreadyExists, Invalid, Forbidden."""
        async with self._configuration.change(author_of(caller)) as change:
            fields = with_passwords(kind, fields, {}, await realm_of(change))
            await self._check(change, kind, fields, caller)
            _fits(kind, fields)
            identity = self._makers.new_id(TRAITS[kind].id_prefix)
            record = await change.insert(kind, {"id": identity, **fields})
            await change.audit("create", kind, identity, None, configured(kind, record))
        await self.told(change)
        return record

    async def patch(
        self, kind: Kind, identity: str, fields: Record, caller: Caller, if_match: str | None
    ) -> Record:
        """Change some fields. Raises: NotFound, Stale, AlreadyExists, Invalid, Forbidden."""
        async with self._configuration.change(author_of(caller)) as change:
            before = await change.get(kind, identity)
            self._fresh(kind, before, if_match)
            fields = with_passwords(kind, fields, before, await realm_of(change))
            found = changes(before, fields)
            if not found:
                return before
            await self._check(change, kind, {**before, **fields}, caller)
            if not found.keys().isdisjoint({"host", "sip"}):
                # Nobody is kept from disabling a trunk by what was let pass once.
                _fits(kind, {**before, **fields})
            wanted = {name: fields[name] for name in found}
            if kind is Kind.WEBHOOK and wanted.get("enabled"):
                wanted["disabled_because"] = None
            record = await change.update(kind, identity, wanted)
            await change.audit(
                "update", kind, identity, configured(kind, before), configured(kind, record)
            )
        await self.told(change)
        return record

    async def delete(
        self, kind: Kind, identity: str, caller: Caller, if_match: str | None
    ) -> None:
        """Remove one. Raises: NotFound, Stale, InUse."""
        async with self._configuration.change(author_of(caller)) as change:
            before = await change.get(kind, identity)
            self._fresh(kind, before, if_match)
            await change.delete(kind, identity)
            await change.audit("delete", kind, identity, configured(kind, before), None)
        await self.told(change)

    async def settings(self) -> list[Record]:
        """Every setting of the whole switch, set or not, by name."""
        rows = await self._configuration.page(
            Kind.SETTING, after="", limit=_MOST_SETTINGS, filters={}
        )
        return views(rows)

    async def setting(self, name: str) -> Record:
        """One setting, with its default when it is not set. Raises: NotFound."""
        try:
            return view(name, await self._configuration.get(Kind.SETTING, name))
        except NotFound:
            if name not in SETTINGS:
                raise
            return view(name, None)

    async def put_setting(self, name: str, value: object, caller: Caller) -> Record:
        """Set a setting of the whole switch. Raises: Rejected."""
        if found := problems(name, value, name_at="name", value_at="value"):
            raise Rejected(found)
        async with self._configuration.change(author_of(caller)) as change:
            before = (await change.all(Kind.SETTING)).get(name)
            record = await put_setting(change, before, name, value)
        await self.told(change)
        return view(name, record)

    async def reset_setting(self, name: str, caller: Caller) -> None:
        """Bring the default back, which may hold already. Raises: NotFound."""
        try:
            await self.delete(Kind.SETTING, name, caller, None)
        except NotFound:
            if name not in SETTINGS:
                raise

    async def create_key(
        self, user_id: str, expires_at: dt.datetime | None, caller: Caller
    ) -> Record:
        """A new API key; its ``secret`` is in this answer and nowhere else."""
        if expires_at is not None and expires_at <= self._makers.utc_now():
            raise Invalid("expires_at", "is in the past")
        async with self._configuration.change(author_of(caller)) as change:
            user = await change.get(Kind.USER, user_id)
            _may_grant(caller, user["scopes"])
            secret = self._makers.new_key()
            fields: Record = {
                "id": self._makers.new_id(TRAITS[Kind.API_KEY].id_prefix),
                "user_id": user_id,
                "hash": hash_key(secret),
                "last_four": secret[-4:],
                "expires_at": expires_at,
            }
            record = await change.insert(Kind.API_KEY, fields)
            shown = configured(Kind.API_KEY, record)
            await change.audit("create", Kind.API_KEY, str(record["id"]), None, shown)
        await self.told(change)
        return {**record, "prefix": PREFIX, "secret": secret}

    async def revoke_key(self, key_id: str, caller: Caller) -> Record:
        """Make a key useless for ever; it stays in the list."""
        async with self._configuration.change(author_of(caller)) as change:
            before = await change.get(Kind.API_KEY, key_id)
            if before["revoked_at"] is not None:
                return before
            fields: Record = {"revoked_at": self._makers.utc_now()}
            record = await change.update(Kind.API_KEY, key_id, fields)
            shown = [configured(Kind.API_KEY, one) for one in (before, record)]
            await change.audit("revoke", Kind.API_KEY, key_id, *shown)
        await self.told(change)
        return record

    async def create_webhook(self, fields: Record, caller: Caller) -> Record:
        """Create a webhook; its secret is made unless one is given."""
        secret = fields.get("secret") or self._makers.new_secret()
        return await self.create(Kind.WEBHOOK, {**fields, "secret": secret}, caller)

    async def rotate_secret(
        self, webhook_id: str, caller: Caller, *, keep_previous: bool
    ) -> Record:
        """A new signing secret; the old one signs too until the next rotation, if kept."""
        async with self._configuration.change(author_of(caller)) as change:
            before = await change.get(Kind.WEBHOOK, webhook_id)
            fields: Record = {
                "secret": self._makers.new_secret(),
                "previous_secret": before["secret"] if keep_previous else None,
            }
            record = await change.update(Kind.WEBHOOK, webhook_id, fields)
            shown = [configured(Kind.WEBHOOK, one) for one in (before, record)]
            await change.audit("rotate_secret", Kind.WEBHOOK, webhook_id, *shown)
        await self.told(change)
        return record

    async def note(self, author: Author, action: str, kind: str, identity: str) -> None:
        """Write down what was done to something that is no configuration."""
        async with self._configuration.change(author) as change:
            await change.audit(action, kind, identity, None, None)

    async def told(self, change: Change) -> None:
        """Tell the others, and ourselves, once a change is committed."""
        if change.revision is not None:
            self._on_change()
            # The commit stands; a client that hangs up now must not keep the others in the dark.
            await asyncio.shield(self._announcer.announce(change.revision))

    async def _check(
        self, change: Change, kind: Kind, fields: Mapping[str, object], caller: Caller
    ) -> None:
        if kind is Kind.USER:
            _may_grant(caller, fields["scopes"])
        if kind in (Kind.CUSTOMER_TRUNK, Kind.VENDOR_TRUNK):
            await _one_currency(change, fields)

    def _fresh(self, kind: Kind, record: Record, if_match: str | None) -> None:
        current = tag_of(kind, record)
        if not matches(if_match, current):
            raise Stale(current)


async def realm_of(change: Change) -> str:
    """The realm that passwords are kept for."""
    stored = (await change.all(Kind.SETTING)).get("sip_realm")
    return str(view("sip_realm", stored)["value"])


def with_passwords(
    kind: Kind, fields: Record, before: Mapping[str, object], realm: str, where: str = ""
) -> Record:
    """Fields as they are stored: passwords hashed, or as they were where they are masked.

    Raises:
        Invalid: a password is missing.
    """
    done = dict(fields)
    if kind is Kind.CUSTOMER_TRUNK and "credentials" in done:
        done["credentials"] = stored_credentials(
            done["credentials"], before.get("credentials"), realm, f"{where}credentials"
        )
    if kind is Kind.VENDOR_TRUNK and "sip" in done:
        done["sip"] = restored(done["sip"], before.get("sip"), f"{where}sip")
    return done


def _fits(kind: Kind, fields: Mapping[str, object]) -> None:
    if kind is Kind.VENDOR_TRUNK and (found := misfits(fields)):
        raise Rejected(found)


def _may_grant(caller: Caller, scopes: object) -> None:
    asked = scopes if isinstance(scopes, list | tuple) else ()
    if missing := beyond(caller.scopes, asked):
        raise Forbidden(missing[0])


async def _one_currency(change: Change, fields: Mapping[str, object]) -> None:
    """A trunk's account and deck count in one currency; both exist."""
    currencies: dict[str, object] = {}
    for name, kind in (("account_id", Kind.ACCOUNT), ("rate_deck_id", Kind.RATE_DECK)):
        try:
            owner = await change.get(kind, str(fields[name]))
        except NotFound as error:
            raise Invalid(name, str(error)) from error
        currencies[name] = owner["currency"]
    if currencies["account_id"] != currencies["rate_deck_id"]:
        raise Invalid(
            "rate_deck_id",
            f"the deck is in {currencies['rate_deck_id']},"
            f" the account in {currencies['account_id']}",
        )


async def put_setting(change: Change, before: Record | None, name: str, value: object) -> Record:
    """Write one setting and its audit event, unless it is so already."""
    # To Python 1 is True and 600 is 600.0; those who read the row see the difference.
    if before is not None and (type(before["value"]), before["value"]) == (type(value), value):
        return before
    fields: Record = {"name": name, "value": value}
    record = (
        await change.insert(Kind.SETTING, fields)
        if before is None
        else await change.update(Kind.SETTING, name, fields)
    )
    old = None if before is None else masked(before)
    await change.audit("set", Kind.SETTING, name, old, masked(record))
    return record
