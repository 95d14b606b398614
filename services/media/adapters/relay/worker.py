"""The worker process: one epoll loop over the sockets of all its calls."""

import os
import select
import socket
import time
from typing import Final

from services.media.adapters.relay.endpoint import Handler, RelayEndpoint
from services.media.adapters.relay.messages import (
    LARGEST_MESSAGE,
    OPENS_PER_MESSAGE,
    Notes,
    Orders,
    encoder,
    orders_decoder,
)
from services.media.core.reception import Report

NOTE_INTERVAL_NS: Final = 500_000_000
"""How often control hears which endpoints are alive."""
_ORDERS_PER_ROUND: Final = 8


class Worker:
    """Relays until the control process hangs up."""

    def __init__(self, control: socket.socket) -> None:
        control.setblocking(False)
        self._control = control
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._endpoints: dict[int, RelayEndpoint] = {}
        self._closed: list[tuple[int, dict[int, Report]]] = []
        self._note_at_ns = 0
        self._is_open = True
        self._watch(control, self._on_control)

    def run(self) -> None:
        """Serve; returns when the control process is gone."""
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
            if now_ns >= self._note_at_ns or self._closed:
                self._note(now_ns)

    def _watch(self, sock: socket.socket, handler: Handler) -> None:
        self._handlers[sock.fileno()] = handler
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _switch(self, descriptor: int, handler: Handler) -> None:
        self._handlers[descriptor] = handler

    def _unwatch(self, sock: socket.socket) -> None:
        # Control holds a duplicate, so closing ours would not end the registration.
        self._epoll.unregister(sock.fileno())
        del self._handlers[sock.fileno()]

    def _on_control(self, _now_ns: int) -> None:
        self._catch_up()

    def _catch_up(self) -> None:
        """Carry out the orders that have arrived; bounded, for the sake of the audio."""
        for _ in range(_ORDERS_PER_ROUND):
            try:
                data, descriptors, _, _ = socket.recv_fds(
                    self._control, LARGEST_MESSAGE, 2 * OPENS_PER_MESSAGE
                )
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self._is_open = False
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

    def _open(self, endpoint_id: int, rtp: int, rtcp: int) -> None:
        sockets = (socket.socket(fileno=rtp), socket.socket(fileno=rtcp))
        endpoint = RelayEndpoint(endpoint_id, sockets, self._switch, self._catch_up)
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
            for endpoint in self._endpoints.values():
                if endpoint.reception.packets != endpoint.noted:
                    endpoint.noted = endpoint.reception.packets
                    active.append(endpoint.id)
        if not active and not self._closed:
            return
        try:
            self._control.send(encoder.encode(Notes(active, self._closed)))
        except BlockingIOError:
            # Control is busy. Audio is not: what it must know is told in the next round.
            return
        except OSError:
            self._is_open = False
        self._closed = []
