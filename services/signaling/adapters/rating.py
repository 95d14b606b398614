"""rating over its link. Implements :class:`services.signaling.ports.Credits`."""

from __future__ import annotations

from collections.abc import Callable

from proto.rating.v1 import rating_pb2 as pb
from services.common.link import Link
from services.common.link_methods import RATING_LINK
from services.signaling.core.values import Credit

TIMEOUT_S = 1.5
"""A lease may have to be taken from Postgres first."""

RatingLink = Link[pb.CreditItem, pb.CreditReply, pb.CreditReply]


def open_rating_link(address: str) -> RatingLink:
    """The link to rating; its ``run()`` keeps it connected."""
    return Link(RATING_LINK, address, timeout_s=TIMEOUT_S)


class LinkedCredits:
    """Asks over the link, translates the answers."""

    def __init__(self, link: RatingLink) -> None:
        self._link = link
        self.unreleased = 0
        """Reservations we could not give back: they come back when their lease expires."""

    def authorize(
        self, call_id: str, sell_terms: bytes, on_credit: Callable[[Credit | None], None]
    ) -> None:
        """See :meth:`services.signaling.ports.Credits.authorize`."""
        item = pb.CreditItem(authorize=pb.AuthorizeRequest(call_id=call_id, sell_terms=sell_terms))

        def on_reply(reply: pb.CreditReply | None) -> None:
            if reply is None:
                on_credit(None)
                return
            granted = reply.authorize
            on_credit(
                Credit(
                    refused=granted.refused,
                    reservation_id=granted.reservation_id,
                    paid_ms=granted.paid_ms,
                )
            )

        self._link.request(item, on_reply)

    def extend(
        self,
        call_id: str,
        reservation_id: str,
        sell_terms: bytes,
        paid_ms: int,
        on_extended: Callable[[Credit | None], None],
    ) -> None:
        """See :meth:`services.signaling.ports.Credits.extend`."""
        item = pb.CreditItem(
            extend=pb.ExtendRequest(
                call_id=call_id,
                reservation_id=reservation_id,
                sell_terms=sell_terms,
                paid_ms=paid_ms,
            )
        )

        def on_reply(reply: pb.CreditReply | None) -> None:
            if reply is None:
                on_extended(None)
                return
            extended = reply.extend
            on_extended(Credit(reservation_id=extended.reservation_id, paid_ms=extended.paid_ms))

        self._link.request(item, on_reply)

    def release(self, call_id: str, reservation_id: str) -> None:
        """See :meth:`services.signaling.ports.Credits.release`."""
        item = pb.CreditItem(
            release=pb.ReleaseRequest(call_id=call_id, reservation_id=reservation_id)
        )
        if not self._link.send(item):
            self.unreleased += 1
