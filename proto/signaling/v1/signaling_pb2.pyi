from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListCallsRequest(_message.Message):
    __slots__ = ("limit", "after", "call_id", "account_id", "trunk_id")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TRUNK_ID_FIELD_NUMBER: _ClassVar[int]
    limit: int
    after: str
    call_id: str
    account_id: str
    trunk_id: str
    def __init__(self, limit: _Optional[int] = ..., after: _Optional[str] = ..., call_id: _Optional[str] = ..., account_id: _Optional[str] = ..., trunk_id: _Optional[str] = ...) -> None: ...

class ListCallsReply(_message.Message):
    __slots__ = ("calls", "total")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[LiveCall]
    total: int
    def __init__(self, calls: _Optional[_Iterable[_Union[LiveCall, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class LiveCall(_message.Message):
    __slots__ = ("call_id", "state", "customer_trunk_id", "account_id", "vendor_trunk_id", "vendor_account_id", "caller", "called", "invited_at_unix_ms", "ringing_at_unix_ms", "answered_at_unix_ms", "talk_ms", "attempts", "node", "media_proxy")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_TRUNK_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    VENDOR_TRUNK_ID_FIELD_NUMBER: _ClassVar[int]
    VENDOR_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CALLED_FIELD_NUMBER: _ClassVar[int]
    INVITED_AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    RINGING_AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    TALK_MS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    MEDIA_PROXY_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    state: str
    customer_trunk_id: str
    account_id: str
    vendor_trunk_id: str
    vendor_account_id: str
    caller: str
    called: str
    invited_at_unix_ms: int
    ringing_at_unix_ms: int
    answered_at_unix_ms: int
    talk_ms: int
    attempts: int
    node: str
    media_proxy: bool
    def __init__(self, call_id: _Optional[str] = ..., state: _Optional[str] = ..., customer_trunk_id: _Optional[str] = ..., account_id: _Optional[str] = ..., vendor_trunk_id: _Optional[str] = ..., vendor_account_id: _Optional[str] = ..., caller: _Optional[str] = ..., called: _Optional[str] = ..., invited_at_unix_ms: _Optional[int] = ..., ringing_at_unix_ms: _Optional[int] = ..., answered_at_unix_ms: _Optional[int] = ..., talk_ms: _Optional[int] = ..., attempts: _Optional[int] = ..., node: _Optional[str] = ..., media_proxy: _Optional[bool] = ...) -> None: ...

class HangupRequest(_message.Message):
    __slots__ = ("call_id",)
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    def __init__(self, call_id: _Optional[str] = ...) -> None: ...

class HangupReply(_message.Message):
    __slots__ = ("found",)
    FOUND_FIELD_NUMBER: _ClassVar[int]
    found: bool
    def __init__(self, found: _Optional[bool] = ...) -> None: ...

class LadderRequest(_message.Message):
    __slots__ = ("call_id",)
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    def __init__(self, call_id: _Optional[str] = ...) -> None: ...

class LadderReply(_message.Message):
    __slots__ = ("steps",)
    STEPS_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[LadderStep]
    def __init__(self, steps: _Optional[_Iterable[_Union[LadderStep, _Mapping]]] = ...) -> None: ...

class LadderStep(_message.Message):
    __slots__ = ("at_unix_ms", "leg", "sent", "peer", "summary", "raw", "at_unix_us", "local")
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_US_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    at_unix_ms: int
    leg: str
    sent: bool
    peer: str
    summary: str
    raw: bytes
    at_unix_us: int
    local: str
    def __init__(self, at_unix_ms: _Optional[int] = ..., leg: _Optional[str] = ..., sent: _Optional[bool] = ..., peer: _Optional[str] = ..., summary: _Optional[str] = ..., raw: _Optional[bytes] = ..., at_unix_us: _Optional[int] = ..., local: _Optional[str] = ...) -> None: ...

class ListRegistrationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRegistrationsReply(_message.Message):
    __slots__ = ("registrations",)
    REGISTRATIONS_FIELD_NUMBER: _ClassVar[int]
    registrations: _containers.RepeatedCompositeFieldContainer[Registration]
    def __init__(self, registrations: _Optional[_Iterable[_Union[Registration, _Mapping]]] = ...) -> None: ...

class Registration(_message.Message):
    __slots__ = ("direction", "username", "customer_trunk_id", "vendor_trunk_id", "contact", "source", "state", "expires_at_unix_ms", "status", "retry_at_unix_ms", "node", "agent")
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_TRUNK_ID_FIELD_NUMBER: _ClassVar[int]
    VENDOR_TRUNK_ID_FIELD_NUMBER: _ClassVar[int]
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    direction: str
    username: str
    customer_trunk_id: str
    vendor_trunk_id: str
    contact: str
    source: str
    state: str
    expires_at_unix_ms: int
    status: int
    retry_at_unix_ms: int
    node: str
    agent: str
    def __init__(self, direction: _Optional[str] = ..., username: _Optional[str] = ..., customer_trunk_id: _Optional[str] = ..., vendor_trunk_id: _Optional[str] = ..., contact: _Optional[str] = ..., source: _Optional[str] = ..., state: _Optional[str] = ..., expires_at_unix_ms: _Optional[int] = ..., status: _Optional[int] = ..., retry_at_unix_ms: _Optional[int] = ..., node: _Optional[str] = ..., agent: _Optional[str] = ...) -> None: ...

class ListVendorsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListVendorsReply(_message.Message):
    __slots__ = ("vendors",)
    VENDORS_FIELD_NUMBER: _ClassVar[int]
    vendors: _containers.RepeatedCompositeFieldContainer[VendorState]
    def __init__(self, vendors: _Optional[_Iterable[_Union[VendorState, _Mapping]]] = ...) -> None: ...

class VendorState(_message.Message):
    __slots__ = ("vendor_trunk_id", "name", "state", "since_unix_ms", "why", "until_unix_ms", "calls", "targets", "node")
    VENDOR_TRUNK_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    vendor_trunk_id: str
    name: str
    state: str
    since_unix_ms: int
    why: str
    until_unix_ms: int
    calls: int
    targets: _containers.RepeatedCompositeFieldContainer[TargetState]
    node: str
    def __init__(self, vendor_trunk_id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., since_unix_ms: _Optional[int] = ..., why: _Optional[str] = ..., until_unix_ms: _Optional[int] = ..., calls: _Optional[int] = ..., targets: _Optional[_Iterable[_Union[TargetState, _Mapping]]] = ..., node: _Optional[str] = ...) -> None: ...

class TargetState(_message.Message):
    __slots__ = ("target", "state", "since_unix_ms", "why", "until_unix_ms")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    target: str
    state: str
    since_unix_ms: int
    why: str
    until_unix_ms: int
    def __init__(self, target: _Optional[str] = ..., state: _Optional[str] = ..., since_unix_ms: _Optional[int] = ..., why: _Optional[str] = ..., until_unix_ms: _Optional[int] = ...) -> None: ...
