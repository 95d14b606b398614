"""What signaling and the api ask: over the link in batches, or one at a time."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from proto.rating.v1 import rating_pb2 as pb
from proto.rating.v1.rating_pb2_grpc import RatingServicer, add_RatingServicer_to_server
from services.common.grpc import Server
from services.common.link_methods import RATING_LINK
from services.common.link_server import Replies
from services.common.money import parse_amount, to_text
from services.rating.app.credit import Authorized, CreditDesk, Extended
from services.rating.app.payments import Cashier
from services.rating.ports import Payment

CreditReplies = Replies[pb.CreditReply, pb.CreditReply]
AnswerT = TypeVar("AnswerT")


class RatingEntry(RatingServicer):
    """Decodes, calls the use case, encodes."""

    def __init__(self, desk: CreditDesk, cashier: Cashier) -> None:
        self._desk = desk
        self._cashier = cashier

    def add_to(self, server: Server) -> None:
        """Serve the link and the unary methods."""
        server.add_link(RATING_LINK, self.on_items)
        server.add(add_RatingServicer_to_server, self)

    def on_items(self, items: Sequence[pb.CreditItem], replies: CreditReplies) -> None:
        """Answer a batch; what is found in memory leaves at once."""
        for item in items:
            match item.WhichOneof("request"):
                case "authorize":
                    self._authorize(item.id, item.authorize, replies)
                case "extend":
                    self._extend(item.id, item.extend, replies)
                case "release":
                    self._desk.release(item.release.call_id, item.release.reservation_id)
                case _:
                    pass  # of a newer peer: it will time out there

    def _authorize(
        self, number: int, request: pb.AuthorizeRequest, replies: CreditReplies
    ) -> None:
        def reply(answer: Authorized) -> None:
            replies.send(pb.CreditReply(id=number, authorize=_authorized(answer)))

        self._desk.authorize(request.call_id, request.sell_terms, reply)

    def _extend(self, number: int, request: pb.ExtendRequest, replies: CreditReplies) -> None:
        def reply(answer: Extended) -> None:
            replies.send(pb.CreditReply(id=number, extend=_extended(answer)))

        self._desk.extend(
            request.call_id,
            request.reservation_id,
            request.sell_terms,
            request.paid_ms,
            reply,
        )

    async def Authorize(  # noqa: N802 - named by the contract
        self, request: pb.AuthorizeRequest, _context: object
    ) -> pb.AuthorizeReply:
        """One authorisation."""
        answer: asyncio.Future[Authorized] = asyncio.get_running_loop().create_future()
        self._desk.authorize(request.call_id, request.sell_terms, _into(answer))
        return _authorized(await answer)

    async def Extend(  # noqa: N802 - named by the contract
        self, request: pb.ExtendRequest, _context: object
    ) -> pb.ExtendReply:
        """One extension."""
        answer: asyncio.Future[Extended] = asyncio.get_running_loop().create_future()
        self._desk.extend(
            request.call_id,
            request.reservation_id,
            request.sell_terms,
            request.paid_ms,
            _into(answer),
        )
        return _extended(await answer)

    async def Release(  # noqa: N802 - named by the contract
        self, request: pb.ReleaseRequest, _context: object
    ) -> pb.ReleaseReply:
        """One release."""
        self._desk.release(request.call_id, request.reservation_id)
        return pb.ReleaseReply()

    async def Pay(  # noqa: N802 - named by the contract
        self, request: pb.PayRequest, _context: object
    ) -> pb.PayReply:
        """Money moved by hand; what is not acceptable becomes INVALID_ARGUMENT."""
        paid = await self._cashier.pay(
            Payment(
                payment_id=request.payment_id,
                account_id=request.account_id,
                amount=parse_amount(request.amount),
                currency=request.currency,
                kind=request.kind,
                note=request.note,
                actor=request.actor,
            )
        )
        return pb.PayReply(balance=to_text(paid.balance), duplicate=paid.is_duplicate)


def _into(answer: asyncio.Future[AnswerT]) -> Callable[[AnswerT], None]:
    """Fulfil ``answer``, unless whoever waited for it has gone."""

    def reply(value: AnswerT) -> None:
        if not answer.done():
            answer.set_result(value)

    return reply


def _authorized(answer: Authorized) -> pb.AuthorizeReply:
    return pb.AuthorizeReply(
        refused=answer.refused,
        reservation_id=answer.reservation_id,
        paid_ms=answer.paid_ms,
        max_ms=answer.max_ms,
    )


def _extended(answer: Extended) -> pb.ExtendReply:
    return pb.ExtendReply(reservation_id=answer.reservation_id, paid_ms=answer.paid_ms)
