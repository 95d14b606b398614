from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Side(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIDE_UNSPECIFIED: _ClassVar[Side]
    SIDE_CALLER: _ClassVar[Side]
    SIDE_CALLEE: _ClassVar[Side]
SIDE_UNSPECIFIED: Side
SIDE_CALLER: Side
SIDE_CALLEE: Side

class MediaBatch(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[MediaItem]
    def __init__(self, items: _Optional[_Iterable[_Union[MediaItem, _Mapping]]] = ...) -> None: ...

class MediaItem(_message.Message):
    __slots__ = ("id", "call_id", "offer", "answer", "release", "forget", "attach")
    ID_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    id: int
    call_id: str
    offer: Describe
    answer: Describe
    release: Release
    forget: Forget
    attach: Attach
    def __init__(self, id: _Optional[int] = ..., call_id: _Optional[str] = ..., offer: _Optional[_Union[Describe, _Mapping]] = ..., answer: _Optional[_Union[Describe, _Mapping]] = ..., release: _Optional[_Union[Release, _Mapping]] = ..., forget: _Optional[_Union[Forget, _Mapping]] = ..., attach: _Optional[_Union[Attach, _Mapping]] = ...) -> None: ...

class Describe(_message.Message):
    __slots__ = ("sdp", "source_host", "attempt", "provisional", "silence_timeout_ms", "target_host", "awaits_rtp")
    FROM_FIELD_NUMBER: _ClassVar[int]
    SDP_FIELD_NUMBER: _ClassVar[int]
    SOURCE_HOST_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROVISIONAL_FIELD_NUMBER: _ClassVar[int]
    SILENCE_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    TARGET_HOST_FIELD_NUMBER: _ClassVar[int]
    AWAITS_RTP_FIELD_NUMBER: _ClassVar[int]
    sdp: bytes
    source_host: str
    attempt: int
    provisional: bool
    silence_timeout_ms: int
    target_host: str
    awaits_rtp: bool
    def __init__(self, sdp: _Optional[bytes] = ..., source_host: _Optional[str] = ..., attempt: _Optional[int] = ..., provisional: _Optional[bool] = ..., silence_timeout_ms: _Optional[int] = ..., target_host: _Optional[str] = ..., awaits_rtp: _Optional[bool] = ..., **kwargs) -> None: ...

class Release(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Forget(_message.Message):
    __slots__ = ("attempt",)
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    def __init__(self, attempt: _Optional[int] = ...) -> None: ...

class Attach(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MediaReplyBatch(_message.Message):
    __slots__ = ("items", "events")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[MediaReply]
    events: _containers.RepeatedCompositeFieldContainer[MediaEvent]
    def __init__(self, items: _Optional[_Iterable[_Union[MediaReply, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[MediaEvent, _Mapping]]] = ...) -> None: ...

class MediaReply(_message.Message):
    __slots__ = ("id", "error", "sdp", "caller", "callee")
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SDP_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CALLEE_FIELD_NUMBER: _ClassVar[int]
    id: int
    error: str
    sdp: bytes
    caller: StreamStats
    callee: StreamStats
    def __init__(self, id: _Optional[int] = ..., error: _Optional[str] = ..., sdp: _Optional[bytes] = ..., caller: _Optional[_Union[StreamStats, _Mapping]] = ..., callee: _Optional[_Union[StreamStats, _Mapping]] = ...) -> None: ...

class MediaEvent(_message.Message):
    __slots__ = ("call_id", "kind", "side", "attempt")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    kind: str
    side: Side
    attempt: int
    def __init__(self, call_id: _Optional[str] = ..., kind: _Optional[str] = ..., side: _Optional[_Union[Side, str]] = ..., attempt: _Optional[int] = ...) -> None: ...

class StreamStats(_message.Message):
    __slots__ = ("packets", "bytes", "lost", "jitter_ms", "first_at_unix_ms", "last_at_unix_ms", "refused", "source")
    PACKETS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    JITTER_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    packets: int
    bytes: int
    lost: int
    jitter_ms: float
    first_at_unix_ms: int
    last_at_unix_ms: int
    refused: int
    source: str
    def __init__(self, packets: _Optional[int] = ..., bytes: _Optional[int] = ..., lost: _Optional[int] = ..., jitter_ms: _Optional[float] = ..., first_at_unix_ms: _Optional[int] = ..., last_at_unix_ms: _Optional[int] = ..., refused: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...
