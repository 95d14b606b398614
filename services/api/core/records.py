"""Configuration objects as plain fields: their JSON form, their ETag, their differences."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from services.api.core.passwords import hidden
from services.common.money import to_text

Record = dict[str, object]
"""One object: field name to value (text, numbers, ``Decimal``, aware ``datetime``, lists)."""

STAMPS = frozenset({"created_at", "updated_at"})
"""Fields the switch writes itself: no part of what an operator configured."""

_SECRET = frozenset({"secret", "previous_secret", "hash", "key"})
_UNBOUNDED = frozenset(
    (dt.datetime.max.replace(tzinfo=dt.UTC), dt.datetime.min.replace(tzinfo=dt.UTC))
)


class FieldChange(NamedTuple):
    """One field of one object, before and after, in JSON form."""

    old: object
    new: object


def instant_text(instant: dt.datetime) -> str | None:
    """RFC 3339 in UTC; ``None`` for the beginning and the end of time."""
    if instant.replace(tzinfo=dt.UTC) in _UNBOUNDED:
        return None
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def jsonable(value: object) -> object:
    """``value`` as JSON can carry it: decimals and instants as strings."""
    match value:
        case Decimal():
            return to_text(value)
        case dt.datetime():
            return instant_text(value)
        case Mapping():
            return {str(key): jsonable(one) for key, one in value.items()}
        case list() | tuple():
            return [jsonable(one) for one in value]
        case frozenset() | set():
            return sorted(str(one) for one in value)
        case _:
            return value


def masked(record: Mapping[str, object]) -> Record:
    """The JSON form fit for the audit log: secrets replaced by their last four characters."""
    return {name: _mask(name, value) for name, value in record.items()}


def _mask(name: str, value: object) -> object:
    if name not in _SECRET or value is None:
        return hidden(jsonable(value))
    return f"…{str(value)[-4:]}"


def etag(record: Mapping[str, object], *, computed: Iterable[str] = ()) -> str:
    """A strong entity tag of what was configured; ``computed`` fields do not count."""
    ignored = set(computed)
    kept = {name: jsonable(value) for name, value in record.items() if name not in ignored}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'


def matches(if_match: str | None, current: str) -> bool:
    """Whether an ``If-Match`` value (RFC 9110 section 13.1.1) accepts the tag ``current``."""
    if if_match is None or if_match.strip() == "*":
        return True
    # Weak tags never match: section 13.1.1 demands strong comparison.
    return current in {tag.strip() for tag in if_match.split(",")}


def changes(before: Mapping[str, object], wanted: Mapping[str, object]) -> dict[str, FieldChange]:
    """Which fields of ``before`` differ from ``wanted``; fields not wanted are left alone."""
    found: dict[str, FieldChange] = {}
    for name, value in wanted.items():
        old, new = _comparable(before.get(name)), _comparable(value)
        if name not in STAMPS and old != new:
            found[name] = FieldChange(_mask(name, before.get(name)), _mask(name, value))
    return found


def _order(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _comparable(value: object) -> object:
    # Lists in configuration are sets: addresses, scopes, events, stop codes.
    if isinstance(value, list | tuple | set | frozenset):
        return sorted((jsonable(one) for one in value), key=_order)
    return jsonable(value)
