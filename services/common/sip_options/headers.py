"""Which headers pass to a peer, beside those the switch writes itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec

from services.common.sip_options.group import Conflict, Group
from services.common.sip_options.text import HeaderName, HeaderValue

STACK_HEADERS: Final = frozenset({
    "accept", "accept-contact", "accept-encoding", "accept-language", "allow", "allow-events",
    "authentication-info", "authorization", "call-id", "contact", "content-encoding",
    "content-length", "content-type", "cseq", "event", "expires", "flow-timer", "from",
    "in-reply-to", "join", "max-breadth", "max-forwards", "min-expires", "min-se", "path",
    "proxy-authenticate", "proxy-authentication-info", "proxy-authorization", "proxy-require",
    "rack", "record-route", "refer-sub", "refer-to", "referred-by", "reject-contact", "replaces",
    "request-disposition", "require", "retry-after", "route", "rseq", "security-client",
    "security-server", "security-verify", "server", "service-route", "session-expires",
    "sip-etag", "sip-if-match", "subscription-state", "supported", "target-dialog", "timestamp",
    "to", "unsupported", "user-agent", "via", "warning", "www-authenticate",
})  # fmt: skip
"""Of one hop, one dialog or one negotiation: they never pass, nor can they be added."""

GOVERNED_HEADERS: Final = frozenset({
    "diversion", "history-info", "p-asserted-identity", "p-charge-info", "p-preferred-identity",
    "privacy", "reason", "remote-party-id",
})  # fmt: skip
"""Other groups say whether these pass: identity, and codes for Reason."""


def _content(name: str) -> bool:
    return name.startswith("content-") or name == "mime-version"


_Names = Annotated[list[HeaderName], msgspec.Meta(max_length=100)]
_Lines = Annotated[dict[HeaderName, HeaderValue], msgspec.Meta(max_length=32)]


class Headers(Group, frozen=True):
    """What passes to this peer from the other leg; how its own messages are cleaned."""

    pass_: Literal["usual", "none", "listed", "all"] = msgspec.field(default="usual", name="pass")
    """``usual``: the switch's own short list and those of ``listed``; ``listed``: only these;
    ``all``: whatever is not part of one hop, one dialog or of the identity and codes groups."""
    listed: _Names = msgspec.field(default_factory=list)
    strip: _Names = msgspec.field(default_factory=list)
    """Never pass, neither to this peer nor from it."""
    add: _Lines = msgspec.field(default_factory=dict)
    """Header lines added to each INVITE to a vendor, or to each response above 100 to a customer's
    INVITE; they replace what would pass under the same name."""

    def conflicts(self) -> Iterator[Conflict]:
        """See :class:`Group`."""
        for field, names in (("listed", self.listed), ("strip", self.strip)):
            for name in map(str.lower, names):
                if name in STACK_HEADERS or _content(name):
                    yield Conflict(field, f"{name} never passes")
                elif name in GOVERNED_HEADERS:
                    yield Conflict(field, f"{name} is up to the groups identity and codes")
        added = [name.lower() for name in self.add]
        for name in added:
            if name in STACK_HEADERS or _content(name):
                yield Conflict("add", f"{name} is the switch's own")
        if len(set(added)) < len(added):
            yield Conflict("add", "a header is added twice")

    def nonsense(self) -> Iterator[Conflict]:
        """See :class:`Group`."""
        if self.listed and self.pass_ == "none":  # noqa: S105 - no password
            yield Conflict("listed", "means nothing while pass is none")
        for name in sorted({*map(str.lower, self.listed)} & {*map(str.lower, self.strip)}):
            yield Conflict("listed", f"{name} cannot pass while strip has it too")
