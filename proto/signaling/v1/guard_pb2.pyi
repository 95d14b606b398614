from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShowGuardRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ShowGuardReply(_message.Message):
    __slots__ = ("node", "bans", "counters", "counted", "sources", "admitted_share", "queue_age_s", "firewall")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    BANS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_SHARE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_AGE_S_FIELD_NUMBER: _ClassVar[int]
    FIREWALL_FIELD_NUMBER: _ClassVar[int]
    node: str
    bans: _containers.RepeatedCompositeFieldContainer[BanEntry]
    counters: _containers.ScalarMap[str, int]
    counted: _containers.RepeatedCompositeFieldContainer[Counted]
    sources: _containers.RepeatedCompositeFieldContainer[SourceMeter]
    admitted_share: float
    queue_age_s: float
    firewall: str
    def __init__(self, node: _Optional[str] = ..., bans: _Optional[_Iterable[_Union[BanEntry, _Mapping]]] = ..., counters: _Optional[_Mapping[str, int]] = ..., counted: _Optional[_Iterable[_Union[Counted, _Mapping]]] = ..., sources: _Optional[_Iterable[_Union[SourceMeter, _Mapping]]] = ..., admitted_share: _Optional[float] = ..., queue_age_s: _Optional[float] = ..., firewall: _Optional[str] = ...) -> None: ...

class BanEntry(_message.Message):
    __slots__ = ("target", "seconds_left", "reason", "hits")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    target: str
    seconds_left: int
    reason: str
    hits: int
    def __init__(self, target: _Optional[str] = ..., seconds_left: _Optional[int] = ..., reason: _Optional[str] = ..., hits: _Optional[int] = ...) -> None: ...

class Counted(_message.Message):
    __slots__ = ("kind", "key", "count")
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    key: str
    count: int
    def __init__(self, kind: _Optional[str] = ..., key: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class SourceMeter(_message.Message):
    __slots__ = ("source", "cps", "baseline_cps", "flooding")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CPS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_CPS_FIELD_NUMBER: _ClassVar[int]
    FLOODING_FIELD_NUMBER: _ClassVar[int]
    source: str
    cps: float
    baseline_cps: float
    flooding: bool
    def __init__(self, source: _Optional[str] = ..., cps: _Optional[float] = ..., baseline_cps: _Optional[float] = ..., flooding: _Optional[bool] = ...) -> None: ...

class BanRequest(_message.Message):
    __slots__ = ("target", "seconds")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    target: str
    seconds: int
    def __init__(self, target: _Optional[str] = ..., seconds: _Optional[int] = ...) -> None: ...

class BanReply(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class UnbanRequest(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class UnbanReply(_message.Message):
    __slots__ = ("found",)
    FOUND_FIELD_NUMBER: _ClassVar[int]
    found: bool
    def __init__(self, found: _Optional[bool] = ...) -> None: ...

class RulesRequest(_message.Message):
    __slots__ = ("format",)
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    format: str
    def __init__(self, format: _Optional[str] = ...) -> None: ...

class RulesReply(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...
