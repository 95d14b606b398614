import pytest

from proto.media.v1.media_pb2 import MediaEvent, MediaReply, MediaReplyBatch
from proto.routing.v1.routing_pb2 import PlanBatch, PlanRequest
from services.common.link import (
    LARGEST_FRAME,
    FrameReader,
    MalformedFrame,
    field,
    framed,
)


def test_frames_come_out_however_the_stream_is_cut() -> None:
    payloads = [b"one", b"", b"x" * 300]
    stream = b"".join(framed([payload]) for payload in payloads)
    for size in range(1, len(stream) + 1):
        reader = FrameReader()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [frame for piece in pieces for frame in reader.feed(piece)] == payloads


def test_monstrous_frame_is_refused_by_its_head_alone() -> None:
    with pytest.raises(MalformedFrame):
        FrameReader().feed((LARGEST_FRAME + 1).to_bytes(4, "big"))


@pytest.mark.parametrize("size", [0, 1, 117, 118, 16_380, 70_000, 2_200_000])
def test_joined_fields_are_the_batch_protobuf_would_write(size: int) -> None:
    items = [PlanRequest(id=1, called="4" * size), PlanRequest(id=2)]
    joined = b"".join(field(b"\x0a", item.SerializeToString()) for item in items)
    assert joined == PlanBatch(items=items).SerializeToString()


def test_events_join_beside_replies() -> None:
    joined = field(b"\x12", MediaEvent(call_id="c").SerializeToString()) + field(
        b"\x0a", MediaReply(id=3).SerializeToString()
    )
    assert MediaReplyBatch.FromString(joined) == MediaReplyBatch(
        items=[MediaReply(id=3)], events=[MediaEvent(call_id="c")]
    )
