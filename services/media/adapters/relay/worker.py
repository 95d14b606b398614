"""The worker process: one epoll loop over the sockets of all its calls.

When the control process dies it relays on, and waits for the next one. None will come when the
supervisor of the control process is gone too, or it takes too long: then it ends.
"""

import os
import select
import socket
import time
from itertools import islice
from typing import Final

from services.media.adapters.relay.endpoint import Handler, RelayEndpoint
from services.media.adapters.relay.messages import (
    LARGEST_MESSAGE,
    OPENS_PER_MESSAGE,
    SOCKET_BUFFER,
    Notes,
    Orders,
    encoder,
    orders_decoder,
)
from services.media.adapters.relay.records import Records
from services.media.core.reception import Report

NOTE_INTERVAL_NS: Final = 500_000_000
"""How often control hears which endpoints are alive."""
RECORD_ROUNDS: Final = 4
"""Figures are put on record every so many of these intervals: by turns, to spread the work."""
ABANDONED_NS: Final = 30_000_000_000
"""How long a worker without a control process waits for the next one."""
_ORDERS_PER_ROUND: Final = 8


class Worker:
    """Relays for one control process after the other.

    Args:
        control: the first one.
        listener: a bound socket, where the next ones connect; ``None``: there is no next one.
        supervisor: a pidfd of who would start the next one; -1 when that is not known.
        records: see there.
    """

    def __init__(
        self,
        control: socket.socket,
        listener: socket.socket | None,
        supervisor: int,
        records: Records,
    ) -> None:
        if listener is not None:
            listener.listen()
            listener.setblocking(False)
        self._control: socket.socket | None = None
        self._listener = listener
        self._supervisor = supervisor
        self._records = records
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._endpoints: dict[int, RelayEndpoint] = {}
        self._closed: list[tuple[int, dict[int, Report]]] = []
        self._started: list[int] = []
        self._note_at_ns = 0
        self._round = 0
        self._abandoned_at_ns = 0
        self._is_open = True
        self._obey_from(control)

    def run(self) -> None:
        """Serve; returns when there is nobody left to serve."""
        poll, find = self._epoll.poll, self._handlers.get
        while self._is_open:
            # One reading of the clock for all that had arrived when the loop woke.
            events = poll(NOTE_INTERVAL_NS / 1e9)
            now_ns = time.monotonic_ns()
            for descriptor, _ in events:
                # An order earlier in this round may have closed it.
                handler = find(descriptor)
                if handler is not None:
                    handler(now_ns)
            if now_ns >= self._note_at_ns or self._closed or self._started:
                self._note(now_ns)

    def _obey_from(self, control: socket.socket) -> None:
        control.setblocking(False)
        self._control = control
        self._watch(control, self._on_control)

    def _on_next_control(self, _now_ns: int) -> None:
        assert self._listener is not None
        try:
            control, _ = self._listener.accept()
        except OSError:
            return
        control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        self._unwatch(self._listener)
        if self._supervisor >= 0:
            self._unwatch_descriptor(self._supervisor)
        self._obey_from(control)

    def _lose_control(self) -> None:
        """The control process is gone; what it would have been told is of no use to the next."""
        assert self._control is not None
        self._unwatch(self._control)
        self._control.close()
        self._control = None
        self._closed = []
        self._started.clear()
        if not self._endpoints or self._listener is None:
            self._is_open = False
            return
        self._abandoned_at_ns = time.monotonic_ns() + ABANDONED_NS
        self._watch(self._listener, self._on_next_control)
        if self._supervisor >= 0:
            self._watch_descriptor(self._supervisor, self._on_supervisor)

    def _on_supervisor(self, _now_ns: int) -> None:
        """Whoever would start the next control process is gone as well."""
        self._is_open = False

    def _watch(self, sock: socket.socket, handler: Handler) -> None:
        self._watch_descriptor(sock.fileno(), handler)

    def _watch_descriptor(self, descriptor: int, handler: Handler) -> None:
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, select.EPOLLIN)

    def _switch(self, descriptor: int, handler: Handler) -> None:
        self._handlers[descriptor] = handler

    def _unwatch(self, sock: socket.socket) -> None:
        # Control holds a duplicate, so closing ours would not end the registration.
        self._unwatch_descriptor(sock.fileno())

    def _unwatch_descriptor(self, descriptor: int) -> None:
        self._epoll.unregister(descriptor)
        del self._handlers[descriptor]

    def _on_control(self, _now_ns: int) -> None:
        self._catch_up()

    def _catch_up(self) -> None:
        """Carry out the orders that have arrived; bounded, for the sake of the audio."""
        for _ in range(_ORDERS_PER_ROUND):
            if self._control is None:
                return
            try:
                data, descriptors, _, _ = socket.recv_fds(
                    self._control, LARGEST_MESSAGE, 2 * OPENS_PER_MESSAGE
                )
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self._lose_control()
                return
            self._obey(orders_decoder.decode(data), descriptors)

    def _obey(self, orders: Orders, descriptors: list[int]) -> None:
        # Where our descriptors run out, the kernel cuts the list: the rest has no audio.
        for endpoint_id, rtp, rtcp in zip(
            orders.opens, descriptors[::2], descriptors[1::2], strict=False
        ):
            self._open(endpoint_id, rtp, rtcp)
        if len(descriptors) % 2:
            os.close(descriptors[-1])
        for aim in orders.aims:
            endpoint = self._endpoints.get(aim.endpoint_id)
            if endpoint is not None:
                endpoint.aim(aim, self._endpoints.get(aim.peer_id))
        for ticket, endpoint_ids in orders.closes:
            self._close(ticket, endpoint_ids)
        if orders.recall is not None:
            self._give_back(orders.recall)

    def _give_back(self, told: int) -> None:
        """Hand the next sockets to a new control process."""
        assert self._control is not None
        held = list(islice(self._endpoints.values(), told, told + OPENS_PER_MESSAGE))
        descriptors = [sock.fileno() for each in held for sock in (each.rtp, each.rtcp)]
        notes = Notes(held=[each.id for each in held])
        try:
            socket.send_fds(self._control, [encoder.encode(notes)], descriptors)
        except OSError:
            self._lose_control()

    def _open(self, endpoint_id: int, rtp: int, rtcp: int) -> None:
        sockets = (socket.socket(fileno=rtp), socket.socket(fileno=rtcp))
        port = sockets[0].getsockname()[1]
        endpoint = RelayEndpoint(
            endpoint_id,
            sockets,
            self._switch,
            self._catch_up,
            self._started.append,
            self._records.of(port, is_v6=sockets[0].family == socket.AF_INET6),
        )
        self._endpoints[endpoint_id] = endpoint
        self._watch(endpoint.rtp, endpoint.on_checked)
        self._watch(endpoint.rtcp, endpoint.on_rtcp)

    def _close(self, ticket: int, endpoint_ids: list[int]) -> None:
        reports: dict[int, Report] = {}
        for endpoint_id in endpoint_ids:
            endpoint = self._endpoints.pop(endpoint_id, None)
            if endpoint is not None:
                self._unwatch(endpoint.rtp)
                self._unwatch(endpoint.rtcp)
                reports[endpoint_id] = endpoint.close()
        self._closed.append((ticket, reports))

    def _note(self, now_ns: int) -> None:
        active: list[int] = []
        if now_ns >= self._note_at_ns:
            self._note_at_ns = now_ns + NOTE_INTERVAL_NS
            active = self._attend()
        if self._control is None:
            self._is_open = self._is_open and now_ns < self._abandoned_at_ns
            return
        if not active and not self._closed and not self._started:
            return
        try:
            self._control.send(encoder.encode(Notes(active, self._closed, self._started)))
        except BlockingIOError:
            # Control is busy. Audio is not: what it must know is told in the next round.
            return
        except OSError:
            self._lose_control()
            return
        self._closed = []
        self._started.clear()

    def _attend(self) -> list[int]:
        """The endpoints that took packets lately; puts the figures of some on record."""
        active: list[int] = []
        self._round = turn = (self._round + 1) % RECORD_ROUNDS
        for endpoint in self._endpoints.values():
            if endpoint.reception.packets != endpoint.noted:
                endpoint.noted = endpoint.reception.packets
                active.append(endpoint.id)
            if endpoint.id % RECORD_ROUNDS == turn:
                endpoint.put_on_record()
        return active
