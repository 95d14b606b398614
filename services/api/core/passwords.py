"""Passwords that come in and are never shown: masked on the way out, kept on the way in."""

from collections.abc import Mapping, Sequence

from services.common.digest import every_ha1
from services.common.errors import Invalid

MASK = "********"
"""Stands for a password wherever it is shown; sent back, it means: as it was."""

_MASKED = frozenset({"password"})
_LEFT_OUT = frozenset({"ha1", "realm"})
"""What is kept of a customer's password, and what for: nobody can use it for anything else."""


def hidden(value: object) -> object:
    """A JSON value without passwords."""
    match value:
        case Mapping():
            is_credential = "ha1" in value
            return {
                name: MASK if name in _MASKED and one else hidden(one)
                for name, one in value.items()
                if not (is_credential and name in _LEFT_OUT)
            }
        case list() | tuple():
            return [hidden(one) for one in value]
        case _:
            return value


def restored(value: object, before: object, where: str) -> object:
    """A JSON value with the passwords of ``before`` where it has the mask.

    Raises:
        Invalid: there was none.
    """
    if not isinstance(value, Mapping):
        return value
    old = before if isinstance(before, Mapping) else {}
    kept: dict[str, object] = {}
    for name, one in value.items():
        path = f"{where}.{name}"
        if name in _MASKED and one == MASK:
            if not old.get(name):
                raise Invalid(path, "there is no password to keep")
            kept[name] = old[name]
        else:
            kept[name] = restored(one, old.get(name), path)
    return kept


def stored_credentials(
    wanted: object, before: object, realm: str, where: str = "credentials"
) -> list[dict[str, object]]:
    """What is kept of ``[{username, password}]``: hashes for ``realm``.

    A username without password keeps what there was.

    Raises:
        Invalid: there was nothing.
    """
    known = {str(one["username"]): one for one in _rows(before)}
    kept: list[dict[str, object]] = []
    for index, one in enumerate(_rows(wanted)):
        username, password = str(one["username"]), one.get("password")
        if password:
            hashes = every_ha1(username, realm, str(password))
            kept.append({"username": username, "realm": realm, "ha1": hashes})
        elif username in known:
            kept.append(dict(known[username]))
        else:
            raise Invalid(f"{where}[{index}].password", "is needed for a new username")
    return kept


def _rows(value: object) -> Sequence[Mapping[str, object]]:
    rows = value if isinstance(value, list | tuple) else ()
    return [row for row in rows if isinstance(row, Mapping)]
