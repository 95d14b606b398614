"""What may be wrong with a request, in words that callers can act on."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.common.errors import SwitchError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    where: str
    """A path such as ``customer_trunks[0].account``; empty for the request as a whole."""
    reason: str
    code: str = "invalid"

    @property
    def pointer(self) -> str:
        """``where`` as a JSON pointer (RFC 6901): ``/customer_trunks/0/account``."""
        if not self.where:
            return ""
        steps = self.where.replace("[", ".").replace("]", "").split(".")
        return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps if step)


class Rejected(SwitchError):
    """The request was understood and is not acceptable: every problem that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{one.where}: {one.reason}" for one in problems))
        self.problems = tuple(problems)


class NotFound(SwitchError):
    """There is no such object."""

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(f"there is no {kind} {identity!r}")
        self.kind = kind
        self.identity = identity


class AlreadyExists(SwitchError):
    """A value that must be unique belongs to another object."""

    def __init__(self, kind: str, field: str, value: str, owner: str) -> None:
        super().__init__(f"{field} {value!r} belongs to {kind} {owner}")
        self.kind = kind
        self.field = field
        self.value = value
        self.owner = owner


class InUse(SwitchError):
    """The object cannot be removed while others refer to it."""

    def __init__(self, kind: str, identity: str, by: str) -> None:
        super().__init__(f"{kind} {identity} is used by {by}")
        self.kind = kind
        self.identity = identity
        self.by = by


class Stale(SwitchError):
    """The object changed since the caller read it (RFC 9110 section 13.1.1)."""

    def __init__(self, current: str) -> None:
        super().__init__("the object changed since it was read")
        self.current = current


class Unauthenticated(SwitchError):
    """No key, or one that is unknown, revoked, expired or disabled."""


class Forbidden(SwitchError):
    """The key is good but lacks a scope."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs the scope {scope!r}")
        self.scope = scope


class KeyReused(SwitchError):
    """An idempotency key came back with a different request."""


class InProgress(SwitchError):
    """The first request with this idempotency key is still being answered."""
