"""What all calls of one process share: identity, random tokens, limits, who owns which dialog."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from itertools import count
from typing import TYPE_CHECKING, Final

from services.signaling.core.keep_alive import KeepAlives
from services.signaling.core.limits import TrunkLimits
from services.signaling.core.location import Location
from services.signaling.core.reach import Reach
from services.signaling.core.trunks import TrunkTable
from services.signaling.sip.actions import Peer
from services.signaling.sip.listeners import Listeners
from services.signaling.sip.validate import Capabilities

if TYPE_CHECKING:
    from services.signaling.core.call import Call
    from services.signaling.core.loop import Onward

CAPABILITIES: Final = Capabilities(
    methods=(
        "INVITE",
        "ACK",
        "CANCEL",
        "BYE",
        "OPTIONS",
        "INFO",
        "UPDATE",
        "MESSAGE",
        "PRACK",
    ),
    extensions=frozenset({"100rel", "timer", "path", "outbound"}),
    unadvertised=frozenset({"REFER", "REGISTER"}),
)
"""What some trunk may use. What one does not is refused by
:func:`services.signaling.core.extensions.refusal` and its like, for it alone."""

ALLOW: Final = CAPABILITIES.allow_line
ALLOW_REFER: Final = f"{ALLOW}, REFER"
"""For customers who may transfer their calls."""
ACCEPT: Final = CAPABILITIES.accept_line


class Context:
    """Shared by every call; plain data and injected functions, no I/O of its own."""

    __slots__ = (
        "advertised", "agent", "chance", "customer_limits", "dialogs", "keep_alives", "listeners",
        "location", "new_call_id", "new_tag", "node", "reach", "reinvite_s", "tokens", "transfers",
        "trunks", "vendor_limits",
    )  # fmt: skip

    def __init__(
        self,
        *,
        node: str,
        advertised: str | Listeners,
        new_tag: Callable[[], str],
        new_call_id: Callable[[], str],
        chance: Callable[[], float],
        reach: Reach | None = None,
        user_agent: str = "",
        reinvite_s: float = 180.0,
    ) -> None:
        self.node = node
        self.reinvite_s = reinvite_s
        """How long an INVITE of ours inside a call may go without a response above 100."""
        self.agent = (f"User-Agent: {user_agent}",) if user_agent else ()
        """Header lines that name the product; none unless the operator wants one."""
        if isinstance(advertised, str):
            advertised = Listeners.behind(advertised)
        self.listeners = advertised
        """Where we listen, and what we are called there: in Contact and From."""
        self.advertised = self.listeners.first
        """``host:port`` we go by where nobody in particular is spoken to."""
        self.new_tag = new_tag
        """Fresh unguessable tokens without ``-``, which separates forks of one call."""
        self.new_call_id = new_call_id
        """Fresh SIP Call-ID values for egress legs."""
        self.chance = chance
        """Random numbers from 0 up to 1, for waits and first sequence numbers."""
        self.trunks = TrunkTable({})
        """Replaced whenever the configuration changes."""
        self.customer_limits = TrunkLimits()
        self.vendor_limits = TrunkLimits()
        self.dialogs: dict[str, tuple[Call, str]] = {}
        """Calls, and the names of their legs, by the tags we gave their dialogs."""
        self.keep_alives = KeepAlives()
        """Whom to send CRLF to."""
        self.location = Location()
        """Where registered users are."""
        self.transfers: dict[str, Onward] = {}
        """Calls that transfers have asked for, by the Call-ID of their INVITE to ourselves."""
        self.tokens = count(1)
        """Numbers that no two rewritings of SDP share, so that late replies fit nowhere."""
        self.reach = reach or Reach({}, {}, draw=chance)
        """Where vendors are."""

    def contact(self, peer: Peer, *, is_secure: bool = False) -> str:
        """Our Contact header on a leg with this peer."""
        local = self.listeners.towards(peer)
        return local.secure_contact if is_secure else local.contact

    def host(self, peer: Peer) -> str:
        """Our ``host:port`` as this peer knows it: in From."""
        return self.listeners.towards(peer).address

    def resolve(self, host: str) -> str | None:
        """The address to send to; ``None`` for a name that nobody has looked up yet."""
        return self.reach.resolve(host)


@lru_cache(4096)
def is_private(host: str) -> bool:
    """Whether ``host`` is an address that means nothing outside its own network."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return False
