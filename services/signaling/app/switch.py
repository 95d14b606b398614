"""The driver of all calls: messages in, commands out, one timer for everything.

Callback style throughout: no call costs a task or an await. Only the loop of the process calls
in here, so nothing is locked.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from random import random

from services.common.causes import EndReason
from services.common.events import CallEnded
from services.signaling.app.alarm import Alarm
from services.signaling.app.counters import Counters
from services.signaling.app.gate import Gate
from services.signaling.app.keeping import Keeper
from services.signaling.app.outside import OutsideRequests
from services.signaling.app.registrations import Registrations
from services.signaling.app.services import Services
from services.signaling.app.shedding import Shedding
from services.signaling.app.summing import SummedEvents
from services.signaling.app.tracing import Tracer
from services.signaling.app.wakeups import NEVER, Wakeups
from services.signaling.core.call import Call
from services.signaling.core.commands import (
    Acknowledge,
    Cancel,
    Command,
    Emit,
    Finished,
    Owner,
    Request,
    Respond,
)
from services.signaling.core.context import ALLOW, Context
from services.signaling.core.ladder import Ladders
from services.signaling.core.legs import CALLER, options_reply
from services.signaling.core.loop import LOOP, call_to_join, caller_of, origin_of
from services.signaling.core.overload import Overload
from services.signaling.core.refusals import RETRY_AFTER, Refusals, refused_record
from services.signaling.core.trunks import TrunkTable
from services.signaling.core.values import CallState
from services.signaling.ports import EventLog, LocationStore, Network, Observer, TraceSink
from services.signaling.sip.actions import (
    Action,
    Cancelled,
    Datagram,
    DeliverAck,
    DeliverRequest,
    DeliverResponse,
    Fail,
    NoAck,
    NoPrack,
    Peer,
    Refused,
    Send,
    Terminated,
)
from services.signaling.sip.build import response_to
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Request as Received


class Switch:
    """See the module docstring."""

    def __init__(
        self,
        *,
        context: Context,
        layer: TransactionLayer,
        network: Network,
        services: Services,
        events: EventLog,
        observer: Observer,
        locations: LocationStore,
        ladders: Ladders,
        sink: TraceSink | None = None,
        new_call_id: Callable[[], str],
        monotonic: Callable[[], float],
        utc_now: Callable[[], dt.datetime],
        most_calls: int = 50_000,
        overload: Overload | None = None,
    ) -> None:
        self.counters = Counters()
        self.calls: dict[str, Call] = {}
        """Live calls by id, oldest first."""
        self.ladders = ladders
        ladders.is_waiting = self._is_waiting
        self._tracer = Tracer(ladders, context, sink)
        records = events if isinstance(events, SummedEvents) else None
        self.gate = Gate(context, self.counters, records=records)
        self.shedding = Shedding(
            context, layer, self.counters, network, self._on_error,
            overload=overload or Overload(random), records=records,
        )  # fmt: skip
        self._context = context
        self._layer = layer
        self._network = network
        self._events = events
        self._keeper = Keeper(services.journal)
        self._observer = observer
        self._new_call_id = new_call_id
        self._monotonic = monotonic
        self._utc_now = utc_now
        self._most_calls = most_calls
        self.is_draining = False
        self._drained: asyncio.Event = asyncio.Event()
        self._owners: dict[str, tuple[Call, Owner, str]] = {}
        self._invites: dict[str, Call] = {}
        self.outside = OutsideRequests(context, layer, self._carry_out, monotonic)
        self._refusals = Refusals()
        self._wakeups = Wakeups()
        self._alarm = Alarm(self._on_time, self._deadline, monotonic)
        self._arm = self._alarm.arm
        self._waiting: deque[tuple[Call, list[Command]]] = deque()
        self._is_performing = False
        self._deliverers: dict[type, Callable[..., None]] = {
            DeliverRequest: self._on_request,
            DeliverResponse: self._on_response,
            DeliverAck: self._on_ack,
            Refused: self._on_refused,
            Cancelled: self._on_cancel,
            Fail: self._on_fail,
            NoAck: self._on_no_ack,
            NoPrack: self._on_no_prack,
            Terminated: self._on_terminated,
        }
        self.registrations = Registrations(
            context, layer, locations, self.follow, self.gate,
            monotonic=monotonic, utc_now=utc_now,
        )  # fmt: skip
        self._performers: dict[type, Callable[..., None]] = {
            Respond: self._respond,
            Request: self._request,
            Acknowledge: self._acknowledge,
            Cancel: self._cancel,
            Emit: self._emit,
            Finished: self._finish,
            **services.performers(self._resume, monotonic),
        }

    @property
    def trunks(self) -> TrunkTable:
        """Who is who."""
        return self._context.trunks

    @trunks.setter
    def trunks(self, table: TrunkTable) -> None:
        self._context.trunks = table
        self.registrations.use(table)
        self._arm()
        self._layer.reply_to = table.reply_to
        self._context.keep_alives.keep(table.kept_alive, self._monotonic())

    # --- from the network ---------------------------------------------------------------

    def receive(self, datagrams: Iterable[Datagram]) -> None:
        """Take messages in the order they came; under overload, new calls last."""
        for data, source in self.shedding.sift(datagrams, self._monotonic()):
            try:
                self._receive_one(data, source)
            except Exception as error:  # noqa: BLE001 - one message must not stop the others
                self._on_error(error)
        self._arm()

    def _on_error(self, error: Exception) -> None:
        self.counters.errors += 1
        self._observer.failed("message", error)

    def _receive_one(self, data: bytes, source: Peer) -> None:
        now = self._monotonic()
        self.counters.received(data)
        is_stranger = source != LOOP and not self._context.trunks.knows(source.host)
        if is_stranger and not (
            self.gate.hears(data, source, now) and self.shedding.admits(data, source, now)
        ):
            return
        self._keeper.data = data
        actions = self._layer.on_message(data, source, now, is_stranger=is_stranger)
        self.follow(actions, now, data, source)

    def on_transport_error(self, key: str) -> None:
        """A request could not be delivered."""
        now = self._monotonic()
        self.counters.send_failures += 1
        self._carry_out(self._layer.on_transport_error(key, now), now)

    def on_refused(self, branch: str) -> None:
        """Nobody listens where the INVITE with this branch was sent."""
        self.on_transport_error(self._layer.invite_key(branch))

    def on_silence(self, call_id: str) -> None:
        """Neither party has sent audio for too long."""
        self.hang_up(call_id, EndReason.RTP_TIMEOUT)

    def on_peer_lost(self, peer: Peer) -> None:
        """A connection over which we asked something is gone."""
        now = self._monotonic()
        self._carry_out(self._layer.on_peer_lost(peer, now), now)

    def _carry_out(self, actions: list[Action], now: float) -> None:
        self.follow(actions, now)
        self._arm()

    def follow(
        self, actions: list[Action], now: float, data: bytes = b"", source: Peer | None = None
    ) -> None:
        """Carry out what the layer wants; ``data`` is the message it wants it for."""
        tracer, deliverers = self._tracer, self._deliverers
        tracer.heard = (data, source) if source is not None and tracer.enabled else None
        for action in actions:
            if type(action) is Send:
                self.counters.retransmissions += 1
                tracer.sent_by_layer(action, self._owners.get(action.key), now)
                self._put(action, now)
            else:
                deliverers[type(action)](action, now)
        if tracer.heard is not None:
            tracer.settle(now)

    def _on_refused(self, action: Refused, now: float) -> None:
        """An INVITE the layer answered: it never becomes a call, but it has its record."""
        if not self._refusals.is_new(action):
            return
        source, trunks = action.source, self._context.trunks
        trunk = trunks.identify(source.host, source.port, action.request)
        if trunk is None and not (trunks.knows(source.host) or trunks.reply_to_unknown):
            return  # heard only because he might have proven himself: no record is his to fill
        self.counters.invites += 1
        call_id, node, wall = self._new_call_id(), self._context.node, self._utc_now()
        self.tell(refused_record(action, call_id, node, trunk, now, wall))

    def _on_fail(self, action: Fail, now: float) -> None:
        owned = self._owners.pop(action.key, None)
        if owned is None:
            self.registrations.on_fail(action.key, now)
            self.outside.on_failure(action.key, action.status, now)
        else:
            self._perform(owned[0], owned[0].on_failure(owned[1], action.status, now))

    def _on_no_ack(self, action: NoAck, now: float) -> None:
        call = self._invites.pop(action.key, None)
        if call is not None:
            self._perform(call, call.on_no_ack(action.key, now))

    def _on_no_prack(self, action: NoPrack, now: float) -> None:
        if (call := self._invites.get(action.key)) is not None:
            self._perform(call, call.hang_up(EndReason.NO_PRACK, now))

    def _on_terminated(self, action: Terminated, _: float) -> None:
        # Not _invites: an INVITE whose 2xx nobody acknowledged ends in the same instant, and
        # its NoAck is still to come.
        self._owners.pop(action.key, None)

    def _on_cancel(self, action: Cancelled, now: float) -> None:
        call = self._invites.get(action.key)
        if call is not None:
            self._tracer.claim(call, CALLER, now)
            self._perform(call, call.on_cancel(action.request, action.key, now))

    def _on_request(self, action: DeliverRequest, now: float) -> None:
        request, key, source = action.request, action.key, action.source
        tag = request.to_tag
        if not tag:
            self._on_new_request(action, now)
            return
        found = self._context.dialogs.get(tag) or self._context.dialogs.get(tag.partition("-")[0])
        if found is None:
            self._answer(request, key, 481, now)
            return
        call, leg = found
        if request.method == "INVITE":
            self._invites[key] = call
        self._tracer.claim(call, leg, now)
        self._perform(call, call.on_request(request, key, source, now))

    def _on_new_request(self, action: DeliverRequest, now: float) -> None:
        request, key = action.request, action.key
        if request.method == "INVITE":
            self._on_invite(action, now)
        elif request.method == "REGISTER":
            self.registrations.on_register(action, now)
        elif request.method == "OPTIONS" and self.is_draining:
            self._answer(request, key, 503, now, RETRY_AFTER)  # who probes us goes elsewhere
        elif request.method == "OPTIONS":
            reply = options_reply(request, self._context.new_tag())
            self.follow(self._layer.respond(key, reply, now), now)
        elif request.method in {"INFO", "MESSAGE", "REFER"}:
            self._answer(request, key, 405, now, ALLOW)
        else:
            self._answer(request, key, 481, now)

    def _on_invite(self, action: DeliverRequest, now: float) -> None:
        invite, key, source = action.request, action.key, action.source
        joined = call_to_join(self._context, invite) if source == LOOP else None
        if joined is not None:
            self._invites[key] = joined
            self._perform(joined, joined.on_request(invite, key, source, now))
            return
        trunk = caller_of(self._context, invite, source)
        if source != LOOP and (trunk is None or trunk.sip.auth.required):
            admitted = self.registrations.admit(trunk, action, now)
            if admitted is None:
                return
            trunk = admitted.trunk
        call_id = self._new_call_id()
        call = Call(self._context, call_id, invite, key, source, now, self._utc_now())
        self._keeper.invited(call_id, source)
        if source == LOOP:
            call.record.source = origin_of(self._context, invite)
        self.counters.invites += 1
        is_full = len(self.calls) >= self._most_calls
        self.calls[call_id] = call
        self._invites[key] = call
        self._tracer.claim(call, CALLER, now)
        if self.is_draining:
            commands = call.start(trunk, now, EndReason.NODE_SHUTDOWN, RETRY_AFTER)
        elif is_full:
            commands = call.start(trunk, now, EndReason.NODE_CAPACITY)
        else:
            commands = call.start(trunk, now)
        self._perform(call, commands)

    def _on_response(self, action: DeliverResponse, now: float) -> None:
        response, key = action.response, action.key
        is_final = response.status >= 200
        owned = self._owners.pop(key, None) if is_final else self._owners.get(key)
        if owned is not None:
            call, owner, leg = owned
            self._tracer.claim(call, leg, now)
            self._perform(call, call.on_response(owner, response, now))
        elif not self.registrations.on_response(response, key, now):
            self.outside.on_response(response, key, now)

    def _on_ack(self, action: DeliverAck, now: float) -> None:
        ack, key = action.request, action.key
        call = self._invites.pop(key, None)
        if call is not None:
            found = self._context.dialogs.get(ack.to_tag.partition("-")[0])
            self._tracer.claim(call, CALLER if found is None else found[1], now)
            self._perform(call, call.on_ack(ack, key, now))

    def _answer(self, request: Received, key: str, status: int, now: float, *headers: str) -> None:
        reply = response_to(request, status, to_tag=self._context.new_tag(), headers=headers)
        self.follow(self._layer.respond(key, reply, now), now)

    # --- time ---------------------------------------------------------------------------

    def _deadline(self) -> float:
        layer_at = self._layer.deadline or NEVER
        return min(self._wakeups.next, self.registrations.deadline, layer_at)

    def _on_time(self, now: float) -> None:
        try:
            self.follow(self._layer.on_timer(now), now)
            for call in self._wakeups.due(now):
                self._perform(call, call.on_timer(now))
            self.registrations.on_timer(now)
        except Exception as error:  # noqa: BLE001 - a timer that dies would stop all calls
            self.counters.errors += 1
            self._observer.failed("timer", error)

    # --- commands -----------------------------------------------------------------------

    def _perform(self, call: Call, commands: list[Command]) -> None:
        """Carry commands out in order.

        A port may answer before it returns; what the call wants then has to wait for its turn.
        """
        waiting = self._waiting
        if self._is_performing:
            waiting.append((call, commands))
            return
        self._is_performing = True
        performers = self._performers
        try:
            while True:
                for command in commands:
                    performers[type(command)](call, command)
                if call.record.call_id in self.calls:
                    self._wakeups.update(call)
                if not waiting:
                    return
                call, commands = waiting.popleft()
        finally:
            self._is_performing = False

    def _resume(self, call: Call, commands: list[Command]) -> None:
        """Carry out what an answer from one of our services led to."""
        self._perform(call, commands)
        if not self._is_performing:
            self._arm()

    def _respond(self, call: Call, command: Respond) -> None:
        now = self._monotonic()
        if command.reply.status >= 300:
            self._invites.pop(command.key, None)
        self._send(self._layer.respond(command.key, command.reply, now), call, command.leg, now)

    def _request(self, call: Call, command: Request) -> None:
        now = self._monotonic()
        key, actions = self._layer.send_request(command.draft, command.peer, now)
        command.owner.key = key
        self._owners[key] = (call, command.owner, command.leg)
        self._keeper.requested(call, command, actions)
        self._send(actions, call, command.leg, now)

    def _acknowledge(self, call: Call, command: Acknowledge) -> None:
        now = self._monotonic()
        actions = self._layer.send_ack(command.key, command.to_tag, command.draft, command.peer)
        self._send(actions, call, command.leg, now)

    def _cancel(self, call: Call, command: Cancel) -> None:
        now = self._monotonic()
        self._send(self._layer.cancel(command.key, now, command.headers), call, command.leg, now)

    def _send(self, actions: list[Action], call: Call, leg: str, now: float) -> None:
        tracer = self._tracer
        for action in actions:
            if type(action) is not Send:
                self._deliverers[type(action)](action, now)
                continue
            if tracer.enabled:
                tracer.note(call, now, leg, True, action.peer, action.data)
            self._put(action, now)

    def _put(self, send: Send, now: float) -> None:
        counters = self.counters
        counters.sent(send.data)
        if send.peer == LOOP:
            asyncio.get_running_loop().call_soon(self.receive, [(send.data, LOOP)])
        elif not self._network.send(send.data, send.peer, send.key):
            counters.send_failures += 1
            if send.key:
                for action in self._layer.on_transport_error(send.key, now):
                    # What fails at once must not end an attempt that is not begun yet.
                    asyncio.get_running_loop().call_soon(self._carry_out, [action], now)

    def _emit(self, _: Call, command: Emit) -> None:
        event = command.event
        if isinstance(event, CallEnded):
            self.tell(event)
        else:
            self._keeper.told(event)
            self._events.append(event)

    def tell(self, event: CallEnded) -> None:
        """Put a call on record: nothing about it has to be kept any more."""
        self._events.append(event)
        self._keeper.ended(event)
        self.counters.end(event)
        self._observer.call_ended(event)
        self._tracer.ended(event)

    def _finish(self, call: Call, _: Finished) -> None:
        del self.calls[call.record.call_id]
        self._tracer.forget(call.record.call_id)
        self._wakeups.forget(call)
        if self.is_draining and not self.calls:
            self._drained.set()

    # --- operators ----------------------------------------------------------------------

    def hang_up(self, call_id: str, reason: EndReason, at: float | None = None) -> bool:
        """End a live call, now or as of ``at``; ``False`` when there is none of this id."""
        if (call := self.calls.get(call_id)) is not None:
            self._resume(call, call.hang_up(reason, self._monotonic() if at is None else at))
        return call is not None

    def adopt(self, call: Call, commands: list[Command], *, is_acknowledged: bool) -> None:
        """Make a call of a process that died one of ours."""
        self.calls[call.record.call_id] = call
        if not is_acknowledged:
            self._invites[call.invite_key] = call
        self._resume(call, commands)

    def _is_waiting(self, call_id: str) -> bool:
        call = self.calls.get(call_id)
        return call is not None and call.state not in {CallState.ANSWERED, CallState.ENDING}

    def live(self, after: str = "") -> Iterator[Call]:
        """Live calls with ids above ``after``, oldest first: ids grow with time."""
        return (call for call_id, call in self.calls.items() if call_id > after)

    async def drain(self) -> None:
        """Refuse new calls; return when the last one is over."""
        self.is_draining = True
        if self.calls:
            await self._drained.wait()

    def close(self) -> None:
        """Stop the timer; live calls are abandoned as after a crash."""
        self._alarm.close()
