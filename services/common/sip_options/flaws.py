"""Everything that is wrong with the options of a trunk, each by its path and in words.

msgspec stops at the first thing that is wrong and speaks of types and patterns. This walks the
same definitions to the end; what a pattern wants is its ``description``.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple, get_type_hints

import msgspec
from msgspec import inspect

from services.common.errors import Invalid
from services.common.sip_options.group import Group

_LONGEST_SHOWN: Final = 60
_SECRET: Final = frozenset({"password"})
_NO_VALUE: Final = object()

Path = tuple[str | int, ...]


class Flaw(NamedTuple):
    """One thing that is wrong."""

    path: Path
    """Names of options and places in lists, from the options as a whole."""
    reason: str

    def __str__(self) -> str:
        return f"{written(self.path)}: {self.reason}" if self.path else self.reason


class InvalidOptions(Invalid):
    """Options are not acceptable: every flaw that was found."""

    def __init__(self, flaws: list[Flaw]) -> None:
        first = flaws[0]
        super().__init__(f"sip.{written(first.path)}".rstrip("."), first.reason)
        self.flaws = tuple(flaws)

    def __str__(self) -> str:
        return "; ".join(map(str, self.flaws))


def written(path: Path) -> str:
    """A path as people write it: ``codes.stop_causes[2]``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def flaws_of(kind: type[Group], value: object) -> list[Flaw]:
    """What is wrong with plain JSON values as options of ``kind``; empty when nothing is."""
    flaws: list[Flaw] = []
    _group(kind, value, (), flaws)
    return flaws


# --- groups -----------------------------------------------------------------------------------


@lru_cache(64)
def _fields(kind: type[Group]) -> dict[str, tuple[str, inspect.Type, Any]]:
    """By name as written: the attribute, and its type twice: to look at and to convert to."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    hints = get_type_hints(kind, include_extras=True)
    return {each.encode_name: (each.name, each.type, hints[each.name]) for each in info.fields}


def _group(kind: type[Group], value: object, path: Path, flaws: list[Flaw]) -> Group | None:
    """The options as far as they are sound; ``None`` when any of them is not."""
    if not isinstance(value, dict):
        flaws.append(Flaw(path, f"must be an object with options{_not(value)}"))
        return None
    fields, before = _fields(kind), len(flaws)
    found, unsound = copy.copy(kind()), set()
    for name, given in value.items():
        if name not in fields:
            flaws.append(Flaw((*path, str(name)), _unknown(str(name), list(fields))))
            continue
        attribute, wanted, hint = fields[name]
        sound = _field(wanted, hint, given, (*path, name), flaws)
        if sound is _NO_VALUE:
            unsound.add(name)
        else:
            msgspec.structs.force_setattr(found, attribute, sound)
    for conflict in (*found.conflicts(), *found.nonsense()):
        steps = conflict.field.split(".")
        if unsound.isdisjoint({steps[0], *conflict.others}):
            flaws.append(Flaw((*path, *steps), conflict.reason))
    return found if len(flaws) == before else None


def _field(
    wanted: inspect.Type,
    hint: Any,  # noqa: ANN401 - any annotation
    given: object,
    path: Path,
    flaws: list[Flaw],
) -> object:
    """The value, converted; :data:`_NO_VALUE` when it is not sound."""
    if isinstance(wanted, inspect.StructType):
        assert issubclass(wanted.cls, Group)
        inner = _group(wanted.cls, given, path, flaws)
        return _NO_VALUE if inner is None else inner
    before = len(flaws)
    flaws += _value(wanted, given, path)
    return msgspec.convert(given, hint, strict=True) if len(flaws) == before else _NO_VALUE


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
    return f"is no option here; {hint}"


# --- values -----------------------------------------------------------------------------------


def _value(wanted: inspect.Type, given: object, path: Path) -> Iterator[Flaw]:
    bare = wanted.type if isinstance(wanted, inspect.Metadata) else wanted
    match bare:
        case inspect.ListType() | inspect.VarTupleType() if isinstance(given, list | tuple):
            for place, one in enumerate(given):
                yield from _value(bare.item_type, one, (*path, place))
            yield from _too_many(bare.max_length, len(given), path)
        case inspect.DictType() if isinstance(given, dict):
            for name, one in given.items():
                if not _fits(bare.key_type, name):
                    yield Flaw(path, f"{_shown(name)} must be {_wanted(bare.key_type)}")
                else:
                    yield from _value(bare.value_type, one, (*path, name))
            yield from _too_many(bare.max_length, len(given), path)
        case _ if not _fits(wanted, given):
            shown = "" if path[-1] in _SECRET else _not(given)
            yield Flaw(path, f"must be {_wanted(wanted)}{shown}")
        case _:
            pass


def _fits(wanted: inspect.Type, given: object) -> bool:
    match wanted:
        case inspect.Metadata():
            return _fits(wanted.type, given)
        case inspect.UnionType():
            return any(_fits(each, given) for each in wanted.types)
        case inspect.BoolType():
            return isinstance(given, bool)
        case inspect.LiteralType():
            return isinstance(given, str) and given in wanted.values
        case inspect.IntType():
            return _is_within(wanted, given)
        case inspect.StrType():
            return isinstance(given, str) and _is_like(wanted, given)
        case _:
            return False


def _is_within(wanted: inspect.IntType, given: object) -> bool:
    if not isinstance(given, int) or isinstance(given, bool):
        return False
    return (wanted.ge is None or wanted.ge <= given) and (wanted.le is None or given <= wanted.le)


def _is_like(wanted: inspect.StrType, given: str) -> bool:
    if wanted.max_length is not None and len(given) > wanted.max_length:
        return False
    return wanted.pattern is None or re.search(wanted.pattern, given) is not None


def _too_many(most: int | None, count: int, path: Path) -> Iterator[Flaw]:
    if most is not None and count > most:
        yield Flaw(path, f"must have at most {most} entries, not {count}")


# --- words ------------------------------------------------------------------------------------


def _wanted(wanted: inspect.Type) -> str:
    """What may stand somewhere, after "must be"."""
    match wanted:
        case inspect.Metadata():
            text = (wanted.extra_json_schema or {}).get("description")
            limit = wanted.type.max_length if isinstance(wanted.type, inspect.StrType) else None
            most = "" if limit is None else f" of at most {limit} characters"
            return f"{text}{most}" if text else _wanted(wanted.type)
        case inspect.UnionType():
            return " or ".join(map(_wanted, wanted.types))
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType():
            values = ", ".join(map(str, wanted.values))
            return values if len(wanted.values) == 1 else f"one of {values}"
        case inspect.IntType():
            return f"a whole number from {wanted.ge} to {wanted.le}"
        case inspect.ListType() | inspect.VarTupleType():
            return "a list"
        case inspect.DictType():
            return "an object"
        case _:
            return "text"


def _not(given: object) -> str:
    return f", not {_shown(given)}"


def _shown(given: object) -> str:
    """A wrong value, so that it can be told from another: short, and on one line."""
    text = ascii(given) if isinstance(given, str) else msgspec.json.encode(given).decode()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
