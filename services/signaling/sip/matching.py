"""What a request's transaction is known by, and where its responses go."""

from __future__ import annotations

from collections.abc import Callable

from services.signaling.sip.actions import Peer
from services.signaling.sip.message import Message, Request
from services.signaling.sip.replies import AUTO, reply_peer


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


def stamp(request: Request, source: Peer, rules: Callable[[Peer], str] | None = None) -> Peer:
    """Note the source in the top Via; where responses go (section 18.2.2, RFC 3581).

    ``rules`` tells the rule of a source, when any has one of its own.
    """
    request.stamp_source(source.host, source.port)
    return reply_target(request, source, rules)


def reply_target(
    message: Message, source: Peer, rules: Callable[[Peer], str] | None = None
) -> Peer:
    """Where responses to a request go, by its top Via, which its responses carry too."""
    if source.reliable:
        return source
    # maddr is not honoured: it would let anyone aim our responses at anybody.
    via = message.via
    if rules is not None and (rule := rules(source)) != AUTO:
        return reply_peer(rule, source, via)
    if via.asks_rport:
        return source
    port = via.port or 5060
    return source if port == source.port else source._replace(port=port)
