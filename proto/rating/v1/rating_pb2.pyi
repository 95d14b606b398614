from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreditBatch(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[CreditItem]
    def __init__(self, items: _Optional[_Iterable[_Union[CreditItem, _Mapping]]] = ...) -> None: ...

class CreditItem(_message.Message):
    __slots__ = ("id", "authorize", "extend", "release")
    ID_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZE_FIELD_NUMBER: _ClassVar[int]
    EXTEND_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    id: int
    authorize: AuthorizeRequest
    extend: ExtendRequest
    release: ReleaseRequest
    def __init__(self, id: _Optional[int] = ..., authorize: _Optional[_Union[AuthorizeRequest, _Mapping]] = ..., extend: _Optional[_Union[ExtendRequest, _Mapping]] = ..., release: _Optional[_Union[ReleaseRequest, _Mapping]] = ...) -> None: ...

class CreditReplyBatch(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[CreditReply]
    def __init__(self, items: _Optional[_Iterable[_Union[CreditReply, _Mapping]]] = ...) -> None: ...

class CreditReply(_message.Message):
    __slots__ = ("id", "authorize", "extend")
    ID_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZE_FIELD_NUMBER: _ClassVar[int]
    EXTEND_FIELD_NUMBER: _ClassVar[int]
    id: int
    authorize: AuthorizeReply
    extend: ExtendReply
    def __init__(self, id: _Optional[int] = ..., authorize: _Optional[_Union[AuthorizeReply, _Mapping]] = ..., extend: _Optional[_Union[ExtendReply, _Mapping]] = ...) -> None: ...

class AuthorizeRequest(_message.Message):
    __slots__ = ("call_id", "sell_terms")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    SELL_TERMS_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    sell_terms: bytes
    def __init__(self, call_id: _Optional[str] = ..., sell_terms: _Optional[bytes] = ...) -> None: ...

class AuthorizeReply(_message.Message):
    __slots__ = ("refused", "reservation_id", "paid_ms", "max_ms")
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PAID_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_MS_FIELD_NUMBER: _ClassVar[int]
    refused: str
    reservation_id: str
    paid_ms: int
    max_ms: int
    def __init__(self, refused: _Optional[str] = ..., reservation_id: _Optional[str] = ..., paid_ms: _Optional[int] = ..., max_ms: _Optional[int] = ...) -> None: ...

class ExtendRequest(_message.Message):
    __slots__ = ("call_id", "reservation_id", "sell_terms", "paid_ms")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    SELL_TERMS_FIELD_NUMBER: _ClassVar[int]
    PAID_MS_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    reservation_id: str
    sell_terms: bytes
    paid_ms: int
    def __init__(self, call_id: _Optional[str] = ..., reservation_id: _Optional[str] = ..., sell_terms: _Optional[bytes] = ..., paid_ms: _Optional[int] = ...) -> None: ...

class ExtendReply(_message.Message):
    __slots__ = ("reservation_id", "paid_ms")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    PAID_MS_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    paid_ms: int
    def __init__(self, reservation_id: _Optional[str] = ..., paid_ms: _Optional[int] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("call_id", "reservation_id")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    reservation_id: str
    def __init__(self, call_id: _Optional[str] = ..., reservation_id: _Optional[str] = ...) -> None: ...

class ReleaseReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PayRequest(_message.Message):
    __slots__ = ("payment_id", "account_id", "amount", "currency", "kind", "note", "actor")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    account_id: str
    amount: str
    currency: str
    kind: str
    note: str
    actor: str
    def __init__(self, payment_id: _Optional[str] = ..., account_id: _Optional[str] = ..., amount: _Optional[str] = ..., currency: _Optional[str] = ..., kind: _Optional[str] = ..., note: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class PayReply(_message.Message):
    __slots__ = ("balance", "duplicate")
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    balance: str
    duplicate: bool
    def __init__(self, balance: _Optional[str] = ..., duplicate: _Optional[bool] = ...) -> None: ...
