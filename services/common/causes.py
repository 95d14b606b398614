"""Why calls end: our stable reasons, SIP status codes and Q.850 causes, and how they map.

RFC 3398 section 8.2.6.1 (SIP to Q.850) and section 7.2.4 (Q.850 to SIP), RFC 3326 (Reason).
"""

from enum import StrEnum


class EndReason(StrEnum):
    """The ``end_reason`` of a record: what ended the call, in words that never change."""

    NORMAL = "normal"
    CANCELLED = "cancelled"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    """The last vendor refused with a code that has no reason of its own."""
    NOT_FOUND = "not_found"
    NOT_REGISTERED = "not_registered"
    """The call was for a registered user, and nobody is registered."""
    UNKNOWN_CUSTOMER = "unknown_customer"
    CUSTOMER_DISABLED = "customer_disabled"
    TRANSPORT_REFUSED = "transport_refused"
    """The customer's calls may not come by the transport this one came by."""
    INVALID_NUMBER = "invalid_number"
    MALFORMED = "malformed"
    NO_RATE = "no_rate"
    """The sell deck has no row for the number."""
    DESTINATION_BLOCKED = "destination_blocked"
    """The matched sell row is blocked, or the code was closed."""
    NO_ROUTE = "no_route"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    CUSTOMER_CAPACITY = "customer_capacity"
    CUSTOMER_CPS = "customer_cps"
    VENDOR_CAPACITY = "vendor_capacity"
    VENDOR_CPS = "vendor_cps"
    VENDOR_UNREACHABLE = "vendor_unreachable"
    VENDOR_TIMEOUT = "vendor_timeout"
    VENDOR_DOWN = "vendor_down"
    """Its addresses do not answer OPTIONS."""
    VENDOR_BACKOFF = "vendor_backoff"
    """It asked to be left alone (Retry-After)."""
    LISTENER_MISSING = "listener_missing"
    """The listening address that the trunk names is not on this node."""
    RINGING_TIMEOUT = "ringing_timeout"
    SETUP_TIMEOUT = "setup_timeout"
    """The customer's limit on the whole time before the answer."""
    CODEC_MISMATCH = "codec_mismatch"
    NO_RTP_PORTS = "no_rtp_ports"
    RTP_TIMEOUT = "rtp_timeout"
    NO_ACK = "no_ack"
    NO_PRACK = "no_prack"
    """A reliable provisional response was never acknowledged."""
    SESSION_TIMEOUT = "session_timeout"
    """A party stopped refreshing its session, or answering."""
    MAX_DURATION = "max_duration"
    BALANCE_EXHAUSTED = "balance_exhausted"
    ADMIN_DISCONNECT = "admin_disconnect"
    NODE_SHUTDOWN = "node_shutdown"
    NODE_CAPACITY = "node_capacity"
    """The process has as many calls, or transactions, as it may have."""
    LOOP = "loop"
    """Max-Forwards ran out."""
    REDIRECTED = "redirected"
    """Of a call: the customer was told the routes. Of an attempt: its 3xx was followed."""
    ROUTING_SERVER_FAILED = "routing_server_failed"
    """The customer's own routing server did not answer, or nothing usable."""
    ROUTING_SERVER_REFUSED = "routing_server_refused"
    ROUTING_UNAVAILABLE = "routing_unavailable"
    RATING_UNAVAILABLE = "rating_unavailable"
    MEDIA_UNAVAILABLE = "media_unavailable"
    SPOOL_UNAVAILABLE = "spool_unavailable"
    """The record of the answer could not be made durable."""
    UNSUPPORTED = "unsupported"
    """The request asked for something we do not do (415, 420, 416)."""
    OVERLOAD = "overload"
    """There was more to do than could be done."""
    ILLEGAL_CALL = "illegal_call"
    """An INVITE from an address nobody has; it was not answered."""
    INTERNAL_ERROR = "internal_error"


SIP_OF_REASON: dict[EndReason, int] = {
    EndReason.CANCELLED: 487,
    EndReason.BUSY: 486,
    EndReason.NO_ANSWER: 480,
    EndReason.REJECTED: 503,
    EndReason.NOT_FOUND: 404,
    EndReason.NOT_REGISTERED: 480,
    EndReason.UNKNOWN_CUSTOMER: 403,
    EndReason.CUSTOMER_DISABLED: 403,
    EndReason.TRANSPORT_REFUSED: 403,
    EndReason.INVALID_NUMBER: 484,
    EndReason.MALFORMED: 400,
    EndReason.NO_RATE: 403,
    EndReason.DESTINATION_BLOCKED: 403,
    EndReason.NO_ROUTE: 503,
    EndReason.INSUFFICIENT_BALANCE: 403,
    EndReason.CUSTOMER_CAPACITY: 503,
    EndReason.CUSTOMER_CPS: 503,
    EndReason.VENDOR_CAPACITY: 503,
    EndReason.VENDOR_CPS: 503,
    EndReason.VENDOR_UNREACHABLE: 503,
    EndReason.VENDOR_TIMEOUT: 503,
    EndReason.VENDOR_DOWN: 503,
    EndReason.VENDOR_BACKOFF: 503,
    EndReason.LISTENER_MISSING: 503,
    EndReason.RINGING_TIMEOUT: 480,
    EndReason.SETUP_TIMEOUT: 408,
    EndReason.CODEC_MISMATCH: 488,
    EndReason.NO_RTP_PORTS: 503,
    EndReason.NO_PRACK: 504,
    EndReason.LOOP: 483,
    EndReason.ROUTING_SERVER_FAILED: 503,
    EndReason.ROUTING_SERVER_REFUSED: 403,
    EndReason.ROUTING_UNAVAILABLE: 503,
    EndReason.RATING_UNAVAILABLE: 503,
    EndReason.MEDIA_UNAVAILABLE: 503,
    EndReason.SPOOL_UNAVAILABLE: 503,
    EndReason.UNSUPPORTED: 420,
    EndReason.NODE_SHUTDOWN: 503,
    EndReason.NODE_CAPACITY: 503,
    EndReason.ADMIN_DISCONNECT: 503,
    EndReason.OVERLOAD: 503,
    EndReason.ILLEGAL_CALL: 403,
    EndReason.INTERNAL_ERROR: 500,
}
"""What the customer is told when we refuse for this reason before an answer."""

_Q850_OF_SIP = {
    400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22,
    413: 127, 414: 127, 415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41,
    482: 25, 483: 25, 484: 28, 485: 1, 486: 17, 487: 16, 488: 65, 500: 41, 501: 79, 502: 38,
    503: 41, 504: 102, 505: 127, 513: 127, 600: 17, 603: 21, 604: 1, 606: 65,
}  # fmt: skip

_SIP_OF_Q850 = {
    1: 404, 2: 404, 3: 404, 17: 486, 18: 408, 19: 480, 20: 480, 21: 403, 22: 410, 23: 410,
    26: 404, 27: 502, 28: 484, 29: 501, 31: 480, 34: 503, 38: 503, 41: 503, 42: 503, 47: 503,
    55: 403, 57: 403, 58: 503, 65: 488, 70: 488, 79: 501, 87: 403, 88: 503, 102: 504, 111: 500,
    127: 500,
}  # fmt: skip


INCOMPATIBLE = frozenset({300, 301, 302, 303})
"""Warning codes of RFC 3261 section 20.43 that blame network, addresses, transport or bandwidth
rather than a medium or its format."""


def q850_of_sip(status: int, warning: int = 0) -> int:
    """The Q.850 cause a final SIP status stands for; 16 for success, 31 when none is defined.

    488 and 606 are 65, bearer capability not implemented, or 88, incompatible destination, where a
    ``warning`` says so.
    """
    if status < 300:
        return 16
    if warning in INCOMPATIBLE and status in {488, 606}:
        return 88
    return _Q850_OF_SIP.get(status, 127 if status >= 500 else 31)


_Q850_OF_REASON = {
    EndReason.CANCELLED: 16,
    EndReason.NODE_CAPACITY: 42,  # switching equipment congestion: another switch would do
}


def q850_of_refusal(reason: EndReason, status: int) -> int:
    """The cause of a refusal of ours: the reason may be more exact than its ``status``."""
    return _Q850_OF_REASON.get(reason) or q850_of_sip(status)


def sip_of_q850(cause: int, location: str = "") -> int:
    """The SIP status that a cause before answer becomes; 0 when none is defined.

    ``location`` is where the cause arose (RFC 8606): a user who rejects declines.
    """
    if cause == 21 and location.upper() == "U":
        return 603
    return _SIP_OF_Q850.get(cause, 0)


STOP_HUNTING = frozenset({404, 484, 486, 487, 600, 603, 604})
"""Statuses that are the called party's own verdict: no other vendor would do better."""


def reason_of_status(status: int) -> EndReason:
    """The end reason of a call that its last vendor refused with ``status``."""
    return _REASON_OF_STATUS.get(status, EndReason.REJECTED)


_REASON_OF_STATUS = {
    404: EndReason.NOT_FOUND,
    408: EndReason.VENDOR_TIMEOUT,
    480: EndReason.NO_ANSWER,
    484: EndReason.INVALID_NUMBER,
    486: EndReason.BUSY,
    487: EndReason.CANCELLED,
    488: EndReason.CODEC_MISMATCH,
    600: EndReason.BUSY,
    604: EndReason.NOT_FOUND,
    606: EndReason.CODEC_MISMATCH,
}
