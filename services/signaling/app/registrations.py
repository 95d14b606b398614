"""Registration and digest in both directions, as far as transactions are needed.

Challenges, the registrar's answers, probing of contacts, our own accounts at vendors.
Callback style like the driver of calls, and called by it; only the loop of the process comes
in here.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from services.common.sip_options.trunk import VendorSip
from services.signaling.app.gate import Gate
from services.signaling.core.accounts import Account, AccountState
from services.signaling.core.addressing import vendor_peer
from services.signaling.core.authentication import (
    Admitted,
    Authenticator,
    Verdict,
    is_username_of,
)
from services.signaling.core.contacts import way_to
from services.signaling.core.context import Context
from services.signaling.core.location import Binding
from services.signaling.core.nonces import Nonces
from services.signaling.core.probes import Probes
from services.signaling.core.registrar import address_of_record, check_contacts, register
from services.signaling.core.trunks import CustomerTrunk, TrunkTable
from services.signaling.ports import LocationStore
from services.signaling.sip.actions import Action, DeliverRequest, Peer
from services.signaling.sip.build import RequestDraft, request, response_to
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.layer import TransactionLayer
from services.signaling.sip.message import Request, Response
from services.signaling.sip.uri import SipUri

NEVER: Final = float("inf")
PATIENCE_S: Final = 4.0
"""How long the answer to an un-REGISTER is waited for."""
WITHDRAW_S: Final = 2.0
"""The same when the process ends."""


class Follow(Protocol):
    """Carries out what the transaction layer wants."""

    def __call__(self, actions: list[Action], now: float) -> None:
        """Do it."""


class Registrations:
    """See the module docstring."""

    def __init__(
        self,
        context: Context,
        layer: TransactionLayer,
        store: LocationStore,
        follow: Follow,
        gate: Gate,
        *,
        monotonic: Callable[[], float],
        utc_now: Callable[[], dt.datetime],
    ) -> None:
        self.challenged = 0
        """Requests answered with 401."""
        self.failed = 0
        """Those of them whose username or password was wrong."""
        self.accounts: dict[str, Account] = {}
        """Our accounts at vendors, by vendor trunk."""
        self._context = context
        self._layer = layer
        self._store = store
        self._follow = follow
        self._monotonic = monotonic
        self._utc_now = utc_now
        self._gate = gate
        started_s = int(utc_now().timestamp())
        self._authenticator = Authenticator(context.new_tag, started_s=started_s)
        self._probes = Probes()
        self._leaving: list[Account] = []
        self._account_of: dict[str, Account] = {}
        self._binding_of: dict[str, Binding] = {}
        self._accounts_at = NEVER
        self._is_withdrawn = False
        self._gone = asyncio.Event()

    @property
    def nonces(self) -> Nonces:
        """Of the challenges."""
        return self._authenticator.nonces

    # --- who are you --------------------------------------------------------------------

    def admit(
        self, trunk: CustomerTrunk | None, action: DeliverRequest, now: float
    ) -> Admitted | None:
        """Whose call an INVITE is that its address does not settle; ``None``: it got a 401."""
        if trunk is None and not self._context.trunks.digest.users:
            return Admitted(None)
        # One at a trunk's address that is not the trunk's own has had its 100 like the trunk.
        is_known = trunk is not None or self._context.trunks.knows(action.source.host)
        admitted = self._prove(action, now, is_known=is_known)
        if admitted is not None and not is_known:
            trying = response_to(action.request, 100)
            self._follow(self._layer.respond(action.key, trying, now), now)
        return admitted

    def _prove(
        self, action: DeliverRequest, now: float, *, is_known: bool = False
    ) -> Admitted | None:
        verdict = self._verdict(action, now)
        if isinstance(verdict, Admitted):
            return verdict
        self.challenged += 1
        self.failed += verdict.tried is not None
        if is_known:
            self._answer(action, 401, now, *verdict.headers)
        else:
            tag = self._context.new_tag()
            reply = response_to(action.request, 401, to_tag=tag, headers=verdict.headers)
            self._follow(self._layer.refuse(action.key, reply), now)
        return None

    def _verdict(self, action: DeliverRequest, now: float) -> Verdict:
        """What the request proves, of which the guard is told if its source is nobody's."""
        trunks, host, guard = self._context.trunks, action.source.host, self._gate.guard
        verdict = self._authenticator.prove(
            trunks,
            action.request,
            action.source,
            self._unix_s(),
            lambda username: guard.is_suspended(username, host, now),
        )
        if trunks.knows(host):
            return verdict
        if isinstance(verdict, Admitted):
            self._gate.act(guard.on_auth_succeeded(host, verdict.username, now))
        elif verdict.tried is not None:
            self._gate.act(guard.on_auth_failed(host, verdict.tried, now))
            if self._gate.records is not None and action.request.method == "INVITE":
                self._gate.records.illegal(action.request, action.source, now)
        elif not verdict.is_stale:
            self._gate.act(guard.on_unknown(host, now))
        return verdict

    # --- the registrar ------------------------------------------------------------------

    def on_register(self, action: DeliverRequest, now: float) -> None:
        """Answer a REGISTER."""
        try:
            address = address_of_record(action.request)
            check_contacts(action.request)
        except MalformedMessage as error:
            self._answer(action, 400, now, reason=error.reason)
            return
        admitted = self._prove(action, now)
        if admitted is None:
            return
        trunk = admitted.trunk
        # "If the authenticated user is not authorized to modify bindings, the registrar MUST
        # return a 403" (section 10.3 step 4)
        if (
            trunk is None
            or not trunk.enabled
            or not is_username_of(self._context.trunks, admitted.username, address)
        ):
            self._answer(action, 403, now)
            return
        self._register(action, address, trunk, now)

    def _register(
        self, action: DeliverRequest, address: SipUri, trunk: CustomerTrunk, now: float
    ) -> None:
        self._context.location.sweep(self._unix_s())
        outcome = register(
            self._context.location,
            action.request,
            action.source,
            username=address.number,
            rules=trunk.sip.registrations,
            node=self._context.node,
            unix_s=self._unix_s(),
        )
        for binding in outcome.removed:
            self._remove(binding)
        for binding in outcome.put:
            self._context.location.put(binding)
            self._store.put(binding)
            self._probes.watch(binding.id, binding.username, trunk.sip.registrations.probe_s, now)
        self._answer(action, outcome.status, now, *outcome.headers, reason=outcome.reason)

    def on_stored(self, username: str, identity: str, binding: Binding | None) -> None:
        """Take what another node, or this one before its restart, has stored."""
        location = self._context.location
        if binding is None or binding.expires_at <= self._unix_s():
            location.remove(username, identity)
            return
        if binding.node == self._context.node and binding.transport != "udp":
            # Its connection ended with the process that had it.
            if binding.reg_id:
                return
            binding = msgspec.structs.replace(binding, connection=0)
        location.put(binding)
        if binding.node == self._context.node:
            user = self._context.trunks.digest.users.get(username)
            period_s = 0 if user is None else user.trunk.sip.registrations.probe_s
            self._probes.watch(identity, username, period_s, self._monotonic())

    def on_peer_lost(self, peer: Peer) -> None:
        """A connection is gone, and with it the flow of who registered over it."""
        for binding in self._context.location.lose(peer, self._context.node):
            if binding.reg_id:
                self._probes.forget(binding.id)
                self._store.remove(binding)

    def _remove(self, binding: Binding) -> None:
        self._context.location.remove(binding.username, binding.id)
        self._probes.forget(binding.id)
        self._store.remove(binding)

    def _probe(self, username: str, identity: str, now: float) -> None:
        binding = self._context.location.get(username, identity)
        if binding is None or binding.expires_at <= self._unix_s():
            self._probes.forget(identity)
            return
        way = way_to(binding, self._context)
        if way is None:
            self._on_missed(binding)
            return
        if not self._context.listeners.is_reachable(way.peer):
            return  # our want of a listening address says nothing of the telephone
        ours = f"<sip:{self._context.host(way.peer)}>"
        draft = request(
            "OPTIONS",
            way.uri,
            from_=f"{ours};tag={self._context.new_tag()}",
            to=f"<{way.uri}>",
            call_id=self._context.new_call_id(),
            cseq=1,
            route=way.route,
            headers=(self._context.contact(way.peer), *self._context.agent),
        )
        key, actions = self._layer.send_request(draft, way.peer, now)
        self._binding_of[key] = binding
        self._follow(actions, now)

    def _on_missed(self, binding: Binding) -> None:
        if self._probes.missed(binding.id):
            self._remove(binding)

    # --- our accounts -------------------------------------------------------------------

    def use(self, table: TrunkTable) -> None:
        """Register where the configuration says so, and nowhere else any more."""
        now = self._monotonic()
        self._tidy(table, now)
        wanted = {} if self._is_withdrawn else table.accounts
        for trunk_id, account in list(self.accounts.items()):
            place, sip = wanted.get(trunk_id), table.vendor(trunk_id)
            if (place, *_how(sip)) == (account.place, *_how(account.sip)):
                continue
            del self.accounts[trunk_id]
            fresh = self._account(trunk_id, table) if place is not None else None
            is_same_binding = fresh is not None and (
                (fresh.place, fresh.contact, fresh.sip.auth.username)
                == (account.place, account.contact, account.sip.auth.username)
            )
            if not is_same_binding:  # else the new one would be removed with the old
                self._leave(account, now, PATIENCE_S)
        for trunk_id in wanted:
            if trunk_id not in self.accounts:
                self.accounts[trunk_id] = account = self._account(trunk_id, table)
                self._send(account, account.start(now), now)
        self._schedule()

    def _tidy(self, table: TrunkTable, now: float) -> None:
        """Forget contacts of users there are no more; ask the others as often as is said now."""
        for binding in list(self._context.location.all(self._unix_s())):
            user = table.digest.users.get(binding.username)
            is_ours = binding.node == self._context.node
            if user is None and is_ours:
                self._remove(binding)
            elif user is None:
                self._context.location.remove(binding.username, binding.id)
            elif is_ours:
                period_s = user.trunk.sip.registrations.probe_s
                self._probes.watch(binding.id, binding.username, period_s, now)

    def _schedule(self) -> None:
        """Note when the next account has something to do: this is asked after every message."""
        accounts = (*self.accounts.values(), *self._leaving)
        self._accounts_at = min([one.deadline for one in accounts], default=NEVER)

    def _account(self, trunk_id: str, table: TrunkTable) -> Account:
        context, place, sip = self._context, table.accounts[trunk_id], table.vendor(trunk_id)

        def locate() -> list[Peer]:
            return [
                vendor_peer(place.host, peer.host, peer.port, peer.transport, sip)
                for peer in context.reach.located(place)
            ]

        usual = vendor_peer(place.host, place.host, place.port, place.transport, sip)
        known = [peer for peer in locate() if peer.transport == place.transport]
        return Account(
            trunk_id,
            sip,
            place,
            locate=locate,
            advertised=context.host(known[0] if known else usual),
            agent=context.agent,
            call_id=context.new_call_id(),
            new_tag=context.new_tag,
        )

    def _leave(self, account: Account, now: float, patience_s: float) -> None:
        draft = account.stop(now, patience_s)
        if draft is not None:
            self._leaving.append(account)
            self._send(account, draft, now)

    def _send(self, account: Account, draft: RequestDraft | None, now: float) -> None:
        if draft is None:
            self._leaving = [one for one in self._leaving if not one.is_settled]
            if self._is_withdrawn and not self._leaving:
                self._gone.set()
            return
        key, actions = self._layer.send_request(draft, account.target, now, timers=account.timers)
        self._account_of = {
            known: one for known, one in self._account_of.items() if one is not account
        }
        self._account_of[key] = account
        self._follow(actions, now)

    async def withdraw(self) -> None:
        """Take every registration back: the process is about to end, or to drain."""
        now = self._monotonic()
        self._is_withdrawn = True
        for account in self.accounts.values():
            self._leave(account, now, WITHDRAW_S)
        self.accounts.clear()
        self._schedule()
        if not self._leaving:
            return
        try:
            async with asyncio.timeout(WITHDRAW_S):
                await self._gone.wait()
        except TimeoutError:
            return  # a registrar that does not answer keeps nobody

    # --- transactions and time ----------------------------------------------------------

    def on_response(self, response: Response, key: str, now: float) -> bool:
        """Take a response, if it is to a request of ours."""
        account = self._account_of.get(key)
        if account is not None:
            if response.status >= 200:
                del self._account_of[key]
                self._send(account, account.on_response(response, now), now)
                self._schedule()
            return True
        binding = self._binding_of.get(key)
        if binding is None:
            return False
        if response.status >= 200:
            del self._binding_of[key]
            self._probes.answered(binding.id)
        return True

    def on_fail(self, key: str, now: float) -> bool:
        """No response will come, if it was a request of ours."""
        account = self._account_of.pop(key, None)
        if account is not None:
            self._send(account, account.on_failure(now), now)
            self._schedule()
            return True
        binding = self._binding_of.pop(key, None)
        if binding is None:
            return False
        self._on_missed(binding)
        return True

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` is next due."""
        at = self._probes.deadline
        return at if at < self._accounts_at else self._accounts_at

    def on_timer(self, now: float) -> None:
        """Ask contacts, renew registrations."""
        if now < self.deadline:
            return
        for username, identity in self._probes.due(now):
            self._probe(username, identity, now)
        for account in (*self.accounts.values(), *self._leaving):
            if account.deadline <= now:
                self._send(account, account.on_timer(now), now)
        self._schedule()

    # --- for people ---------------------------------------------------------------------

    def bindings(self) -> list[Binding]:
        """Every contact in force, by username."""
        self._context.location.sweep(self._unix_s())
        found = self._context.location.all(self._unix_s())
        return sorted(found, key=lambda binding: (binding.username, binding.uri))

    def expires_in_s(self, account: Account) -> int:
        """Seconds our registration is still good for; 0 when it is not."""
        if account.state is AccountState.REMOVED:
            return 0
        return max(0, round(account.expires_at - self._monotonic()))

    def _answer(
        self,
        action: DeliverRequest,
        status: int,
        now: float,
        *headers: str,
        reason: str | None = None,
    ) -> None:
        received: Request = action.request
        tag = self._context.new_tag()
        reply = response_to(received, status, reason, to_tag=tag, headers=headers)
        self._follow(self._layer.respond(action.key, reply, now), now)

    def _unix_s(self) -> float:
        return self._utc_now().timestamp()


def _how(sip: VendorSip) -> tuple[object, ...]:
    """The options that a registration depends on."""
    return sip.auth, sip.register, sip.listener, sip.tls, sip.transport
