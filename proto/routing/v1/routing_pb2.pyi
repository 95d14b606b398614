from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PlanBatch(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[PlanRequest]
    def __init__(self, items: _Optional[_Iterable[_Union[PlanRequest, _Mapping]]] = ...) -> None: ...

class PlanReplyBatch(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[PlanReply]
    def __init__(self, items: _Optional[_Iterable[_Union[PlanReply, _Mapping]]] = ...) -> None: ...

class PlanRequest(_message.Message):
    __slots__ = ("id", "customer_trunk_id", "caller", "called", "at_unix_ms", "busy_vendor_trunk_ids", "offered", "note")
    ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_TRUNK_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CALLED_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    BUSY_VENDOR_TRUNK_IDS_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    id: int
    customer_trunk_id: str
    caller: str
    called: str
    at_unix_ms: int
    busy_vendor_trunk_ids: _containers.RepeatedScalarFieldContainer[str]
    offered: _containers.RepeatedCompositeFieldContainer[OfferedRoute]
    note: str
    def __init__(self, id: _Optional[int] = ..., customer_trunk_id: _Optional[str] = ..., caller: _Optional[str] = ..., called: _Optional[str] = ..., at_unix_ms: _Optional[int] = ..., busy_vendor_trunk_ids: _Optional[_Iterable[str]] = ..., offered: _Optional[_Iterable[_Union[OfferedRoute, _Mapping]]] = ..., note: _Optional[str] = ...) -> None: ...

class OfferedRoute(_message.Message):
    __slots__ = ("vendor", "called", "caller", "max_call_s")
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    CALLED_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    MAX_CALL_S_FIELD_NUMBER: _ClassVar[int]
    vendor: str
    called: str
    caller: str
    max_call_s: int
    def __init__(self, vendor: _Optional[str] = ..., called: _Optional[str] = ..., caller: _Optional[str] = ..., max_call_s: _Optional[int] = ...) -> None: ...

class PlanReply(_message.Message):
    __slots__ = ("id", "refused", "account_id", "caller_billed", "called_billed", "sell_terms", "candidates", "explanation", "max_call_s")
    ID_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_BILLED_FIELD_NUMBER: _ClassVar[int]
    CALLED_BILLED_FIELD_NUMBER: _ClassVar[int]
    SELL_TERMS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    MAX_CALL_S_FIELD_NUMBER: _ClassVar[int]
    id: int
    refused: str
    account_id: str
    caller_billed: str
    called_billed: str
    sell_terms: bytes
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    explanation: bytes
    max_call_s: int
    def __init__(self, id: _Optional[int] = ..., refused: _Optional[str] = ..., account_id: _Optional[str] = ..., caller_billed: _Optional[str] = ..., called_billed: _Optional[str] = ..., sell_terms: _Optional[bytes] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., explanation: _Optional[bytes] = ..., max_call_s: _Optional[int] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("vendor_trunk_id", "account_id", "host", "port", "transport", "caller", "called", "buy_terms", "media_proxy", "trying_timeout_ms", "ringing_timeout_ms", "max_calls", "max_cps", "stop_codes", "max_call_s")
    VENDOR_TRUNK_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CALLED_FIELD_NUMBER: _ClassVar[int]
    BUY_TERMS_FIELD_NUMBER: _ClassVar[int]
    MEDIA_PROXY_FIELD_NUMBER: _ClassVar[int]
    TRYING_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    RINGING_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_CALLS_FIELD_NUMBER: _ClassVar[int]
    MAX_CPS_FIELD_NUMBER: _ClassVar[int]
    STOP_CODES_FIELD_NUMBER: _ClassVar[int]
    MAX_CALL_S_FIELD_NUMBER: _ClassVar[int]
    vendor_trunk_id: str
    account_id: str
    host: str
    port: int
    transport: str
    caller: str
    called: str
    buy_terms: bytes
    media_proxy: bool
    trying_timeout_ms: int
    ringing_timeout_ms: int
    max_calls: int
    max_cps: int
    stop_codes: _containers.RepeatedScalarFieldContainer[int]
    max_call_s: int
    def __init__(self, vendor_trunk_id: _Optional[str] = ..., account_id: _Optional[str] = ..., host: _Optional[str] = ..., port: _Optional[int] = ..., transport: _Optional[str] = ..., caller: _Optional[str] = ..., called: _Optional[str] = ..., buy_terms: _Optional[bytes] = ..., media_proxy: _Optional[bool] = ..., trying_timeout_ms: _Optional[int] = ..., ringing_timeout_ms: _Optional[int] = ..., max_calls: _Optional[int] = ..., max_cps: _Optional[int] = ..., stop_codes: _Optional[_Iterable[int]] = ..., max_call_s: _Optional[int] = ...) -> None: ...
