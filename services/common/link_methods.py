"""The three links: from signaling to routing, to rating and to media."""

from collections.abc import Sequence

from proto.media.v1.media_pb2 import MediaBatch, MediaEvent, MediaItem, MediaReply, MediaReplyBatch
from proto.rating.v1.rating_pb2 import CreditBatch, CreditItem, CreditReply, CreditReplyBatch
from proto.routing.v1.routing_pb2 import PlanBatch, PlanReply, PlanReplyBatch, PlanRequest
from services.common.link import LinkMethod


def _media_replies(batch: bytes) -> tuple[Sequence[MediaReply], Sequence[MediaEvent]]:
    replies = MediaReplyBatch.FromString(batch)
    return replies.items, replies.events


ROUTING_LINK: LinkMethod[PlanRequest, PlanReply, PlanReply] = LinkMethod(
    path="/tandem.routing.v1.Routing/Link",
    items_of=lambda batch: PlanBatch.FromString(batch).items,
    replies_of=lambda batch: (PlanReplyBatch.FromString(batch).items, ()),
)
RATING_LINK: LinkMethod[CreditItem, CreditReply, CreditReply] = LinkMethod(
    path="/tandem.rating.v1.Rating/Link",
    items_of=lambda batch: CreditBatch.FromString(batch).items,
    replies_of=lambda batch: (CreditReplyBatch.FromString(batch).items, ()),
)
MEDIA_LINK: LinkMethod[MediaItem, MediaReply, MediaEvent] = LinkMethod(
    path="/tandem.media.v1.Media/Link",
    items_of=lambda batch: MediaBatch.FromString(batch).items,
    replies_of=_media_replies,
)
