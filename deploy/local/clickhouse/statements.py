"""Just enough SQL to serve it: is this an insert whose rows follow, and what did the engine say.

Everything else about a statement is the engine's business.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.local.clickhouse.errors import EngineRefused

_LEADING = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_NAME = r"(?:[A-Za-z_]\w*|`(?:[^`\\]|\\.)+`|\"(?:[^\"\\]|\\.)+\")"
_INSERT = re.compile(
    rf"INSERT\s+INTO\s+(?:TABLE\s+)?(?P<table>{_NAME}(?:\s*\.\s*{_NAME})?)"
    r"\s*(?P<columns>\((?:[^()]|\([^()]*\))*\))?"
    r"\s*(?P<settings>SETTINGS\s[^()]*?)?"
    r"\s*(?:VALUES|FORMAT\s+\w+)\s*;?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_SELECT = re.compile(r"\(*\s*(?:SELECT|WITH|FROM)\b", re.IGNORECASE)
_FORMAT = re.compile(r"\s+FORMAT\s+\w+\s*;?\s*\Z", re.IGNORECASE)
_CODE = re.compile(r"Code: (\d+)\. (.*)", re.DOTALL)
_SETTING_NAME = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)

UNKNOWN_SETTING = 115
UNKNOWN_EXCEPTION = 1002
NO_SPACE = 243


@dataclass(frozen=True, slots=True)
class Insert:
    """An insert whose rows the client sends as blocks."""

    table: str
    columns: str
    """With its parentheses; empty when the statement names none."""
    settings: str

    @property
    def sample(self) -> str:
        """A query with the columns of the rows, in their order."""
        listed = self.columns[1:-1] if self.columns else "*"
        return f"SELECT {listed} FROM {self.table}"  # noqa: S608 - the client's own words

    def statement(self, path: str, columns: Sequence[tuple[str, str]]) -> str:
        """An insert of the rows of ``columns`` that lie in a file."""
        names = ", ".join(quoted_name(name) for name, _ in columns)
        # Spelled out, because the engine remembers what it infers by path, and paths recur.
        structure = quoted(", ".join(f"{quoted_name(name)} {kind}" for name, kind in columns))
        source = f"file({quoted(path)}, 'Native', {structure})"
        target = f"{self.table} ({names}) {self.settings}"
        return f"INSERT INTO {target} SELECT {names} FROM {source}"  # noqa: S608 - as above


def insert_of(query: str) -> Insert | None:
    """The insert that ``query`` announces; ``None`` for any other statement."""
    match = _INSERT.match(query, _start(query))
    if match is None:
        return None
    return Insert(match["table"], match["columns"] or "", match["settings"] or "")


def is_select(query: str) -> bool:
    """Whether ``query`` only reads, and its rows can be streamed."""
    return _SELECT.match(query, _start(query)) is not None


def without_format(query: str) -> str:
    """``query`` without a trailing FORMAT: over this protocol a client formats rows itself."""
    return _FORMAT.sub("", query)


def describing(query: str) -> str:
    """A statement that lists the columns of ``query``, a SELECT."""
    # On a line of its own the parenthesis survives a comment at the end of the query.
    asked = query.rstrip().rstrip(";")
    return f"DESCRIBE TABLE (\n{asked}\n) SETTINGS print_pretty_type_names = 0"


def setting(name: str, value: str | None) -> str:
    """A statement that sets ``name``; ``None`` puts it back to its default.

    Raises:
        EngineRefused: no setting can have that name.
    """
    if not _SETTING_NAME.fullmatch(name):
        raise EngineRefused(UNKNOWN_SETTING, f"Unknown setting {name[:128]!r}.")
    if value is None:
        return f"SET {name} = DEFAULT"
    return f"SET {name} = {quoted(value)}"


def quoted(value: str) -> str:
    """``value`` as an SQL string."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def quoted_name(name: str) -> str:
    """``name`` as an SQL identifier."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def refusal(text: str) -> EngineRefused:
    """The engine's error text as an error with its code."""
    match = _CODE.search(text)
    if match is None:
        return EngineRefused(UNKNOWN_EXCEPTION, f"DB::Exception: {text}")
    return EngineRefused(int(match[1]), match[2])


def _start(query: str) -> int:
    """Where ``query`` begins, after blanks and comments."""
    match = _LEADING.match(query)
    return match.end() if match else 0
