"""What tells requests apart: the identity of a transaction, and whom nobody waits for."""

from __future__ import annotations

from services.signaling.sip.message import Request

SHED_TAG = "shed."
"""What our tag begins with in the answer to a shed INVITE."""
_SHED_ACK = f";tag={SHED_TAG}".encode()


def is_ack_of_shed(data: bytes) -> bool:
    """Whether this acknowledges a shed INVITE, and is of no interest to anybody."""
    return data.startswith(b"ACK ") and _SHED_ACK in data


def server_key(request: Request) -> str:
    """The identity of a request's transaction; ACK has that of its INVITE (section 17.2.3)."""
    via = request.via
    method = request.method if request.method != "ACK" else "INVITE"
    if via.has_magic_cookie:
        return f"{via.branch} {via.sent_by} {method}"
    # RFC 2543 clients make no unique branch. The To tag is left out: an ACK has one, its
    # INVITE had none, and all the rest already tells requests apart.
    return (
        f"{request.call_id} {request.from_tag} {request.cseq.number}"
        f" {request.first('via')} {request.uri} {method}"
    )
