"""The settings of the whole switch: which there are, what each may be, what holds without one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.api.core.problems import Problem
from services.api.core.records import Record
from services.common.digest import ALGORITHMS

_LONGEST_NAME_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Flag:
    """A setting that is on or off."""

    default: bool
    meaning: str

    def flaw(self, value: object) -> str:
        """What is wrong with ``value``; empty when nothing is."""
        return "" if isinstance(value, bool) else "must be true or false"

    def description(self) -> Record:
        """For people and programs that ask what there is to set."""
        return {"type": "boolean", "default": self.default, "meaning": self.meaning}


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """A setting that counts something."""

    default: int
    least: int
    most: int
    meaning: str

    def flaw(self, value: object) -> str:
        """What is wrong with ``value``; empty when nothing is."""
        match value:
            case bool():  # an int to Python, and to nobody who sets one
                fits = False
            case int():
                fits = self.least <= value <= self.most
            case _:
                fits = False
        return "" if fits else f"must be a whole number from {self.least} to {self.most}"

    def description(self) -> Record:
        """For people and programs that ask what there is to set."""
        return {
            "type": "integer",
            "default": self.default,
            "minimum": self.least,
            "maximum": self.most,
            "meaning": self.meaning,
        }


@dataclass(frozen=True, slots=True)
class Word:
    """A setting that names something."""

    default: str
    pattern: str
    meaning: str

    def flaw(self, value: object) -> str:
        """What is wrong with ``value``; empty when nothing is."""
        fits = isinstance(value, str) and re.fullmatch(self.pattern, value) is not None
        return "" if fits else f"must match {self.pattern}"

    def description(self) -> Record:
        """For people and programs that ask what there is to set."""
        return {"type": "string", "default": self.default, "meaning": self.meaning}


_ALGORITHM = "|".join(ALGORITHMS)

SETTINGS: Mapping[str, Flag | WholeNumber | Word] = {
    "authentication_failed_suspend_s": WholeNumber(
        180,
        60,
        3_600,
        "how long a source is kept out after too many failed authentications or other offences,"
        " in seconds",
    ),
    "authentication_max_retry": WholeNumber(
        6,
        0,
        999,
        "failed authentications within a minute after which a source is kept out; 0 = any number",
    ),
    "flood_autopilot": Flag(
        default=True,
        meaning="whether unanswered calls of a source that floods are summed in one record per"
        " cause, until the flood is over",
    ),
    "max_call_s": WholeNumber(
        14_400,
        1,
        31_536_000,
        "longest call, in seconds, of customer trunks without a limit of their own",
    ),
    "record_illegal_calls": Flag(
        default=False,
        meaning="whether INVITEs of addresses nobody has are recorded, summed by source",
    ),
    "record_zero_hold_time": Flag(
        default=True,
        meaning="whether each unanswered call has a record of its own; else they are summed by"
        " source and cause",
    ),
    "reply_to_unknown": Flag(
        default=False,
        meaning="whether SIP from an address nobody has is answered instead of dropped",
    ),
    "sip_digest_algorithms": Word(
        ",".join(ALGORITHMS),
        rf"({_ALGORITHM})(,({_ALGORITHM})){{0,2}}",
        "what digest offers, best first; without MD5, or MD5 alone for telephones that need it",
    ),
    "sip_realm": Word(
        "sip",
        "[A-Za-z0-9._-]{1,64}",
        "the realm of digest; passwords are kept for one realm, and must be set again after a"
        " change",
    ),
    "trace_all": Flag(
        default=False,
        meaning="whether the SIP messages of all calls are sent to the capture server",
    ),
    "trace_prefixes": Word(
        "",
        r"([0-9]{1,32}(,[0-9]{1,32}){0,49})?",
        "the same for calls from or to numbers that begin so, without plus, separated by commas",
    ),
    "unknown_source_limit": WholeNumber(
        30,
        0,
        100_000,
        "requests within a minute after which an address nobody has is kept out; 0 = any number",
    ),
    "webhooks_allow_private": Flag(
        default=False, meaning="whether webhooks may go to private addresses"
    ),
}
"""Every setting by its name. Services read the rows themselves and know the defaults too."""


def problems(name: str, value: object, *, name_at: str, value_at: str) -> list[Problem]:
    """What is wrong with setting ``name`` to ``value``, told at the paths of the two."""
    known = SETTINGS.get(name)
    if known is None:
        reason = f"there is no setting {name[:_LONGEST_NAME_SHOWN]!r}, only {', '.join(SETTINGS)}"
        return [Problem(name_at, reason, "unknown_setting")]
    reason = known.flaw(value)
    return [Problem(value_at, reason)] if reason else []


def view(name: str, stored: Mapping[str, object] | None) -> Record:
    """A setting as it holds now. One that nobody knows any more is only what is stored."""
    known = SETTINGS.get(name)
    about = known.description() if known is not None else {}
    if stored is None:
        return {"name": name, "value": about.get("default"), "is_set": False, **about}
    return {
        "name": name,
        "value": stored["value"],
        "is_set": True,
        **about,
        "updated_at": stored["updated_at"],
    }


def views(stored: Iterable[Mapping[str, object]]) -> list[Record]:
    """Every known setting and whatever else is stored, by name."""
    rows = {str(row["name"]): row for row in stored}
    return [view(name, rows.get(name)) for name in sorted({*SETTINGS, *rows})]
