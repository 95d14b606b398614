"""Which header lines pass from one leg to the other, by the policies of both trunks.

Whoever a message goes to decides what passes; either side may strip. Without a policy on either
side nothing but the usual lines passes.
"""

from __future__ import annotations

from typing import Final

from services.common.sip_options.headers import GOVERNED_HEADERS, STACK_HEADERS, Headers
from services.signaling.core.headers import BODY, BYE_PASSES, INVITE_PASSES, RESPONSE_PASSES
from services.signaling.sip.headers import wire_text
from services.signaling.sip.message import Message

_NEVER: Final = STACK_HEADERS | GOVERNED_HEADERS
_DESCRIBING: Final = frozenset({*BODY, "content-encoding", "info-package", "recv-info"})
"""Without these a body that passes could not be read."""


def _without_governed(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([name for name in names if name not in GOVERNED_HEADERS])


INVITE_USUAL: Final = _without_governed(INVITE_PASSES)
"""What passes from INVITE to INVITE beside what the identity group sees to."""
RESPONSE_USUAL: Final = _without_governed(RESPONSE_PASSES)
"""What passes from response to response beside Reason."""
BYE_USUAL: Final = _without_governed(BYE_PASSES)
"""What passes from BYE or CANCEL to its copy beside Reason."""


class HeaderPolicy:
    """What passes to one peer, compiled from its options."""

    __slots__ = ("_listed", "_mode", "_replaced", "added", "stripped")

    def __init__(self, options: Headers) -> None:
        self._mode = options.pass_
        self._listed = tuple([name.lower() for name in options.listed])
        self.stripped = frozenset(map(str.lower, options.strip))
        """Names that never pass, to this peer or from it."""
        self._replaced = frozenset(map(str.lower, options.add))
        self.added = tuple([f"{name}: {wire_text(text)}" for name, text in options.add.items()])
        """Lines for each INVITE to a vendor, or each response to a customer's INVITE."""

    def lines(
        self, message: Message, usual: tuple[str, ...], stripped: frozenset[str] = frozenset()
    ) -> list[str]:
        """The lines of ``message`` that pass to this peer; ``stripped``: by the other one."""
        lines: list[str] = []
        for name in dict.fromkeys(self._names(message, usual)):
            if name in self.stripped or name in stripped or not message.has(name):
                continue
            lines += [line for line in message.raw_lines(name) if "\0" not in line]
        return lines

    def invite_lines(
        self, message: Message, usual: tuple[str, ...], stripped: frozenset[str] = frozenset()
    ) -> list[str]:
        """The same for an INVITE, or for a response to one, with the lines that are added."""
        replaced = self._replaced
        return [*self.lines(message, usual, stripped | replaced), *self.added]

    def unless_added(self, lines: list[str]) -> list[str]:
        """``lines`` of ours but for those that added ones replace."""
        replaced = self._replaced
        if not replaced:
            return lines
        return [line for line in lines if line.partition(":")[0].lower() not in replaced]

    def _names(self, message: Message, usual: tuple[str, ...]) -> list[str]:
        match self._mode:
            case "usual":
                return [*usual, *self._listed]
            case "none":
                return [name for name in usual if name in _DESCRIBING]
            case "listed":
                return [*(name for name in usual if name in _DESCRIBING), *self._listed]
            case _:
                usual_ones = set(usual)
                return [name for name in message.names if name in usual_ones or not _is_ours(name)]


def _is_ours(name: str) -> bool:
    return name in _NEVER or name.startswith("content-") or name == "mime-version"


PLAIN: Final = HeaderPolicy(Headers())


def compiled(options: Headers) -> HeaderPolicy | None:
    """The policy of these options; ``None`` when they are the defaults."""
    return None if options == Headers() else HeaderPolicy(options)


def passing(
    message: Message,
    usual: tuple[str, ...],
    to: HeaderPolicy | None,
    source: HeaderPolicy | None,
) -> list[str]:
    """The lines of ``message`` that pass from the peer of ``source`` to that of ``to``."""
    return (to or PLAIN).lines(message, usual, (source or PLAIN).stripped)
