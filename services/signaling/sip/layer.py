"""The transaction layer: everything between raw datagrams and the call machine.

One object for all listeners. It absorbs retransmissions, answers what needs no thought (100,
400, 405, 415, 416, 420, 481, 482, 501, 505, the 200 of a CANCEL), repeats and acknowledges
2xx responses, repeats reliable provisional ones, and hands the rest to its user as
:mod:`.actions`. It reads no clock and owns no socket: the driver performs the returned actions
in order, and calls :meth:`on_timer` once :attr:`deadline` has passed.

Keys of transactions are opaque strings. A key whose transaction is gone is ignored
everywhere, so the user needs no bookkeeping against races.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from zlib import crc32

from services.signaling.sip.actions import (
    Action,
    Cancelled,
    DeliverAck,
    DeliverRequest,
    Peer,
    Refused,
    Send,
    Terminated,
)
from services.signaling.sip.build import Reply, RequestDraft, response_to
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.glance import SHED_TAG
from services.signaling.sip.headers import MAGIC_COOKIE, RAck, own_via_pattern
from services.signaling.sip.invite_usage import UasAnswer
from services.signaling.sip.listeners import Listeners
from services.signaling.sip.matching import server_key, stamp
from services.signaling.sip.message import (
    DEFAULT_LIMITS,
    Limits,
    Request,
    Response,
    parse,
)
from services.signaling.sip.oversize import (
    ClientTransaction,
    Grown,
    client_transaction,
    is_oversize,
)
from services.signaling.sip.reliable import UasProvisional
from services.signaling.sip.transaction.invite_client import InviteClientTransaction
from services.signaling.sip.transaction.invite_server import InviteServerTransaction
from services.signaling.sip.transaction.non_invite_client import NonInviteClientTransaction
from services.signaling.sip.transaction.non_invite_server import NonInviteServerTransaction
from services.signaling.sip.transaction.schedule import Schedule
from services.signaling.sip.transaction.states import (
    ACCEPTED,
    CALLING,
    PROCEEDING,
    TERMINATED,
    TRYING,
)
from services.signaling.sip.transaction.timers import NEVER, RFC3261_TIMERS, TimerValues
from services.signaling.sip.validate import Capabilities, Rejection, check_response, validate

ServerTransaction = InviteServerTransaction | NonInviteServerTransaction
Timed = ClientTransaction | ServerTransaction | UasAnswer | UasProvisional

_NEVER_SHED = frozenset({"BYE", "PRACK"})


class TransactionLayer:
    """Matches messages to transactions, runs their timers, builds their envelopes.

    ``sent_by`` is our ``host:port`` as it stands in Via, or the listeners it depends on. ``ids``
    must return a fresh, unpredictable token on every call: branches made of it are all that tells
    a genuine response from a forged one. With ``max_transactions`` server transactions alive,
    new requests get 503 (BYE, ACK, PRACK and CANCEL still pass).
    """

    def __init__(
        self,
        *,
        sent_by: str | Listeners,
        ids: Callable[[], str],
        timers: TimerValues = RFC3261_TIMERS,
        capabilities: Capabilities | None = None,
        limits: Limits = DEFAULT_LIMITS,
        max_transactions: int = 200_000,
    ) -> None:
        self._listeners = sent_by if isinstance(sent_by, Listeners) else Listeners.behind(sent_by)
        self._sent_by = self._listeners.addresses
        self._ids = ids
        self._timers = timers
        self._capabilities = capabilities or Capabilities()
        self._limits = limits
        self._max_transactions = max_transactions
        self._clients: dict[str, ClientTransaction] = {}
        self._servers: dict[str, ServerTransaction] = {}
        self._answers: dict[tuple[str, str, int], UasAnswer] = {}
        self._provisionals: dict[tuple[str, str, int, int], UasProvisional] = {}
        self._initial: dict[tuple[str, str, int], str] = {}
        self._schedule: Schedule[Timed] = Schedule()
        self._grown: dict[str, Grown] = {}
        self.reply_to: Callable[[Peer], str] | None = None
        """The rule by which a source is answered, when there are any but the usual one."""
        self._own_via = own_via_pattern(self._sent_by)

    @property
    def deadline(self) -> float | None:
        """When :meth:`on_timer` is next worth calling; ``None`` when no timer runs."""
        deadline = self._schedule.next
        return None if deadline == NEVER else deadline

    @property
    def transaction_count(self) -> int:
        """Transactions alive, both sides: a gauge."""
        return len(self._clients) + len(self._servers)

    # --- from the network -----------------------------------------------------------------

    def on_message(
        self,
        message: bytes | Request | Response,
        source: Peer,
        now: float,
        *,
        is_stranger: bool = False,
    ) -> list[Action]:
        """Take a datagram, a message cut from a stream, or one parsed already.

        What is no SIP at all, keep-alives included, is ignored. The INVITE of a stranger gets no
        100: he may have to be refused without state (:meth:`refuse`).
        """
        if isinstance(message, bytes):
            try:
                message = parse(message, stream=source.is_framed, limits=self._limits)
            except MalformedMessage as error:
                return self._refuse_malformed(error, source)
        if isinstance(message, Response):
            return self._on_response(message, now)
        try:
            key = server_key(message)
        except MalformedMessage as error:
            return self._refuse_malformed(
                MalformedMessage(error.reason, error.status, message), source
            )
        if message.method == "ACK":
            return self._on_ack(message, key, now)
        transaction = self._servers.get(key)
        if transaction is not None:
            return transaction.on_request()
        return self._on_new_request(message, key, source, now, is_stranger=is_stranger)

    def _on_response(self, response: Response, now: float) -> list[Action]:
        try:
            key = f"{self._own_branch(response)} {response.cseq.method}"
        except MalformedMessage:
            return []
        transaction = self._clients.get(key)
        # Strays are dropped: with no state there is nobody to hear them (18.1.2).
        if transaction is None or not check_response(response):
            return []
        was_calling = transaction.state is CALLING
        actions = transaction.on_response(response, now)
        if was_calling and isinstance(transaction, InviteClientTransaction):
            actions += self._release_cancel(transaction, now)
        return self._settle_client(transaction, actions)

    def _own_branch(self, response: Response) -> str:
        """The branch of a top Via of ours; ``""`` for one that is not."""
        match = self._own_via.fullmatch(response.top_via_line)
        if match is not None:
            return match[1]
        via = response.via
        return via.branch if via.sent_by in self._sent_by else ""

    def _on_ack(self, ack: Request, key: str, now: float) -> list[Action]:
        transaction = self._servers.get(key)
        if isinstance(transaction, InviteServerTransaction) and transaction.state is not ACCEPTED:
            transaction.on_ack(now)
            return self._settle_server(transaction, [])
        try:
            answer = self._answers.get((ack.call_id, ack.to_tag, ack.cseq.number))
        except MalformedMessage:
            return []
        if answer is None:
            return []
        answer.stop()
        self._schedule.file(answer)
        del self._answers[answer.name]
        return [DeliverAck(ack, answer.key)]

    def _on_new_request(
        self, request: Request, key: str, source: Peer, now: float, *, is_stranger: bool
    ) -> list[Action]:
        rejection = validate(request, self._capabilities)
        if rejection is not None:
            return self._refuse(request, source, rejection)
        method = request.method
        if method == "CANCEL":
            return self._on_cancel(request, key, source, now)
        if len(self._servers) >= self._max_transactions and method not in _NEVER_SHED:
            return self._refuse(request, source, Rejection(503))
        if method == "PRACK" and not self._acknowledge(request):
            return self._refuse(request, source, Rejection(481))
        merge_key = (request.call_id, request.from_tag, request.cseq.number)
        if not request.to_tag:
            # "the request has arrived at the UAS more than once, following different paths,
            # most likely due to forking" (section 8.2.2.2)
            if merge_key in self._initial:
                return self._refuse(request, source, Rejection(482))
            self._initial[merge_key] = key
        peer = stamp(request, source, self.reply_to)
        transaction: ServerTransaction
        actions: list[Action] = []
        if method == "INVITE":
            transaction = InviteServerTransaction(key, peer, source, self._timers)
            if not is_stranger:
                actions += transaction.respond(response_to(request, 100), now)
        else:
            transaction = NonInviteServerTransaction(key, peer, self._timers)
        transaction.merge_key = merge_key
        self._servers[key] = transaction
        actions.append(DeliverRequest(request, key, source))
        return actions

    def _on_cancel(self, cancel: Request, key: str, source: Peer, now: float) -> list[Action]:
        invite = self._servers.get(key.removesuffix("CANCEL") + "INVITE")
        if (
            not isinstance(invite, InviteServerTransaction)
            # Whoever can cancel must be who called: a guessed branch is not enough.
            or (invite.source.transport, invite.source.host) != (source.transport, source.host)
        ):
            return self._refuse(cancel, source, Rejection(481))
        peer = stamp(cancel, source, self.reply_to)
        transaction = NonInviteServerTransaction(key, peer, self._timers)
        self._servers[key] = transaction
        tag = invite.to_tag or self._ids()
        actions = transaction.respond(response_to(cancel, 200, to_tag=tag), now)
        if invite.state is PROCEEDING:
            actions.append(Cancelled(cancel, invite.key))
        return self._settle_server(transaction, actions)

    def has(self, key: str) -> bool:
        """Whether a request with this key is being served."""
        return key in self._servers

    def new_call(self, request: Request) -> str:
        """The key of an INVITE that is outside any dialog and has no transaction; else ``""``.

        Raises:
            MalformedMessage: it cannot be told.
        """
        key = "" if request.to_tag else server_key(request)
        return "" if key in self._servers else key

    def shed(self, request: Request, source: Peer, headers: Iterable[str] = ()) -> list[Action]:
        """Refuse a new INVITE with 503 for want of time: no state, no record."""
        rejection = Rejection(503, headers=tuple(headers))
        return self._refuse(request, source, rejection, mark=SHED_TAG)[:1]

    def _refuse_malformed(self, error: MalformedMessage, source: Peer) -> list[Action]:
        request = error.message
        if not isinstance(request, Request) or not request.has("via"):
            return []
        return self._refuse(request, source, Rejection(error.status, error.reason))

    def _refuse(
        self, request: Request, source: Peer, rejection: Rejection, *, mark: str = ""
    ) -> list[Action]:
        """Answer without a transaction (section 8.2.7): a repetition is refused the same way."""
        if request.method == "ACK":
            return []
        try:
            peer = stamp(request, source, self.reply_to)
        except MalformedMessage:
            peer = source
        # "must be the same tag for the same request" (section 8.2.7)
        tag = f"{mark}{crc32((request.call_id + (request.first('cseq') or '')).encode()):08x}"
        reply = response_to(
            request,
            rejection.status,
            rejection.reason,
            to_tag=tag,
            headers=rejection.headers,
        )
        actions: list[Action] = [Send(reply.data, peer)]
        if request.method == "INVITE":
            actions.append(Refused(request, source, rejection.status))
        return actions

    # --- from the user --------------------------------------------------------------------

    def send_request(
        self,
        draft: RequestDraft,
        target: Peer,
        now: float,
        *,
        timers: TimerValues | None = None,
    ) -> tuple[str, list[Action]]:
        """Start a client transaction; answers come under the returned key.

        Raises:
            UnsafeText: the draft cannot be written safely; nothing was sent.
        """
        branch = MAGIC_COOKIE + self._ids()
        wire = draft.wire(self._via_line(target, branch))
        key = f"{branch} {draft.method}"
        timers = timers or self._timers
        if is_oversize(wire, target):
            self._grown[key] = Grown(draft, target, timers)
            target = target._replace(transport="tcp", connection=0, manner=None)
            wire = draft.wire(self._via_line(target, branch))
        return key, self._start(client_transaction(draft, wire, key, target, timers), now)

    def _start(self, transaction: ClientTransaction, now: float) -> list[Action]:
        self._clients[transaction.key] = transaction
        return self._settle_client(transaction, transaction.start(now))

    def send_ack(self, key: str, to_tag: str, draft: RequestDraft, target: Peer) -> list[Action]:
        """Acknowledge the 2xx with ``to_tag`` that INVITE ``key`` drew, now and whenever repeated.

        Raises:
            UnsafeText: the draft cannot be written safely; nothing was sent.
        """
        data = draft.wire(self._via_line(target, MAGIC_COOKIE + self._ids()))
        transaction = self._clients.get(key)
        if isinstance(transaction, InviteClientTransaction):
            transaction.remember_ack(to_tag, data, target)
        return [Send(data, target)]

    def respond(self, key: str, reply: Reply, now: float) -> list[Action]:
        """Answer a delivered request; only the first final response counts."""
        transaction = self._servers.get(key)
        if transaction is None:
            return []
        actions = transaction.respond(reply, now)
        if isinstance(transaction, InviteServerTransaction) and actions:
            self._follow_provisional(transaction, reply, now)
        if reply.status >= 300:
            # Refused here, the same request may come again over another path: a proxy hunting.
            self._forget_initial(transaction)
        elif reply.status >= 200 and isinstance(transaction, InviteServerTransaction) and actions:
            self._await_ack(transaction, reply, now)
        return self._settle_server(transaction, actions)

    def refuse(self, key: str, reply: Reply) -> list[Action]:
        """Answer a delivered request once, and forget it (section 8.2.7).

        For who has proven nothing: his address may be forged, and nothing is repeated to it.
        """
        transaction = self._servers.pop(key, None)
        if transaction is None:
            return []
        self._forget_initial(transaction)
        return [Send(reply.data, transaction.peer)]

    def cancel(self, key: str, now: float, headers: Iterable[str] = ()) -> list[Action]:
        """Cancel an INVITE of ours, at once or when its first provisional arrives (9.1).

        The INVITE still ends with a response (487, or a 2xx that was faster) or with ``Fail``.
        ``headers`` are lines for the CANCEL, such as Reason.
        """
        transaction = self._clients.get(key)
        if not isinstance(transaction, InviteClientTransaction):
            return []
        data = transaction.cancel(now, headers)
        if data is None:
            return []
        self._schedule.file(transaction)
        cancel_key = key.removesuffix("INVITE") + "CANCEL"
        cancel = NonInviteClientTransaction(data, cancel_key, transaction.peer, self._timers)
        return self._start(cancel, now)

    def on_transport_error(self, key: str, now: float) -> list[Action]:
        """Take note that a ``Send`` with this key could not be performed."""
        transaction = self._clients.get(key)
        if transaction is None:
            return []
        is_unheard = transaction.state is CALLING or transaction.state is TRYING
        actions = transaction.on_transport_error()
        grown = self._grown.pop(key, None)
        if grown is None or not is_unheard:
            return self._settle_client(transaction, actions)
        self._schedule.file(transaction)  # it is over: nothing is to wake it
        via_line = self._via_line(grown.target, key.partition(" ")[0])
        return self._start(grown.by_udp(via_line, transaction), now)

    @staticmethod
    def invite_key(branch: str) -> str:
        """The key of our INVITE with this branch: all that an ICMP error brings back of it."""
        return f"{branch} INVITE"

    def on_peer_lost(self, peer: Peer, now: float) -> list[Action]:
        """Fail every client transaction towards a peer whose connection is gone."""
        keys = [key for key, client in self._clients.items() if client.peer.goes_by(peer)]
        return [action for key in keys for action in self.on_transport_error(key, now)]

    # --- time -----------------------------------------------------------------------------

    def on_timer(self, now: float) -> list[Action]:
        """Run everything due at ``now``, in order of its deadlines."""
        actions: list[Action] = []
        for timed in self._schedule.due(now):
            actions += self._fire(timed, now)
        return actions

    def _fire(self, timed: Timed, now: float) -> list[Action]:
        actions = timed.on_timer(now)
        if isinstance(timed, UasAnswer):
            if timed.is_waiting:
                self._schedule.file(timed)
            else:
                self._answers.pop(timed.name, None)
            return actions
        if isinstance(timed, UasProvisional):
            self._schedule.file(timed)
            return actions
        if isinstance(timed, (InviteClientTransaction, NonInviteClientTransaction)):
            return self._settle_client(timed, actions)
        return self._settle_server(timed, actions)

    # --- bookkeeping ----------------------------------------------------------------------

    def _settle_client(
        self, transaction: ClientTransaction, actions: list[Action]
    ) -> list[Action]:
        self._schedule.file(transaction)  # one that has ended must not be woken any more
        if transaction.state is TERMINATED:
            del self._clients[transaction.key]
            self._grown.pop(transaction.key, None)
            actions.append(Terminated(transaction.key))
        if " CANCEL" in transaction.key:
            # A CANCEL is the layer's own business: what matters is how the INVITE ends.
            return [action for action in actions if isinstance(action, Send)]
        return actions

    def _settle_server(
        self, transaction: ServerTransaction, actions: list[Action]
    ) -> list[Action]:
        self._schedule.file(transaction)
        if transaction.state is not TERMINATED:
            return actions
        del self._servers[transaction.key]
        if isinstance(transaction, InviteServerTransaction) and transaction.provisional:
            self._provisionals.pop(transaction.provisional.name, None)
        self._forget_initial(transaction)
        if not transaction.key.endswith("CANCEL"):
            actions.append(Terminated(transaction.key))
        return actions

    def _forget_initial(self, transaction: ServerTransaction) -> None:
        if self._initial.get(transaction.merge_key) == transaction.key:
            del self._initial[transaction.merge_key]

    def _follow_provisional(
        self, invite: InviteServerTransaction, reply: Reply, now: float
    ) -> None:
        """Repeat what was sent reliably, until PRACK or a final response."""
        if reply.rseq:
            call_id, _, cseq = invite.merge_key
            name = (call_id, reply.to_tag, cseq, reply.rseq)
            provisional = UasProvisional(reply.data, invite.key, name, invite.peer, self._timers)
            provisional.start(now)
            self._provisionals[name] = invite.provisional = provisional
            self._schedule.file(provisional)
        elif reply.status >= 200 and invite.provisional is not None:
            # No longer repeated, but its PRACK may still come (RFC 3262 section 3).
            invite.provisional.stop()
            self._schedule.file(invite.provisional)

    def _acknowledge(self, prack: Request) -> bool:
        """Stop what a PRACK acknowledges; whether there is such a response."""
        try:
            rack = RAck.parse(prack.first("rack") or "")
        except MalformedMessage:
            return False
        name = (prack.call_id, prack.to_tag, rack.cseq, rack.rseq)
        provisional = self._provisionals.pop(name, None) if rack.method == "INVITE" else None
        if provisional is None:
            return False
        provisional.stop()
        self._schedule.file(provisional)
        return True

    def _await_ack(self, invite: InviteServerTransaction, reply: Reply, now: float) -> None:
        call_id, _, cseq = invite.merge_key
        name = (call_id, reply.to_tag, cseq)
        answer = UasAnswer(reply.data, invite.key, name, invite.peer, self._timers)
        answer.start(now)
        self._answers[name] = answer
        self._schedule.file(answer)

    def _release_cancel(self, invite: InviteClientTransaction, now: float) -> list[Action]:
        if invite.cancel_headers is None or invite.state is not PROCEEDING:
            return []
        return self.cancel(invite.key, now, invite.cancel_headers)

    def _via_line(self, target: Peer, branch: str) -> str:
        return self._listeners.towards(target).via + branch
