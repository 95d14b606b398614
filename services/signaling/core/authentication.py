"""Proof by digest of who calls or registers (RFC 3261 section 22).

Who is asked: whoever calls from nobody's address or for a trunk that wants proof, and
whoever registers. Whoever fails learns nothing: an unknown user, a wrong password and a
trunk's own restriction look the same and cost the same work. What counts is the credential:
the trunk charged is the one it belongs to, whatever From says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from services.common.digest import ALGORITHMS
from services.signaling.core.headers import number_of
from services.signaling.core.nonces import Nonces
from services.signaling.core.trunks import CustomerTrunk, DigestUser, TrunkTable
from services.signaling.sip.actions import Peer
from services.signaling.sip.digest import (
    Credentials,
    challenge_lines,
    credentials_of,
    is_proven,
)
from services.signaling.sip.errors import MalformedMessage
from services.signaling.sip.message import Request
from services.signaling.sip.uri import SipUri, parse_uri

LONGEST_USERNAME = 64


class Admitted(NamedTuple):
    """It may go on, as this trunk; ``None`` for a stranger, where nobody can prove himself."""

    trunk: CustomerTrunk | None
    username: str = ""
    """Proven by digest; empty when the address was enough."""


class Challenged(NamedTuple):
    """401, with these headers."""

    headers: tuple[str, ...]
    tried: str | None = None
    """The username that failed, over a nonce of ours: whoever tried it can hear us."""
    is_stale: bool = False
    """Only the nonce was too old, or used."""


Verdict = Admitted | Challenged


class Authenticator:
    """See the module docstring. ``random`` makes unguessable hexadecimal tokens."""

    def __init__(self, random: Callable[[], str], *, started_s: int = 0) -> None:
        self.nonces = Nonces(random, started_s=started_s)
        # Nobody's hashes, for the same work on users there are not.
        self._nobody = {name: random() * 4 for name in ALGORITHMS}

    def prove(
        self,
        table: TrunkTable,
        request: Request,
        source: Peer,
        unix_s: float,
        is_suspended: Callable[[str], bool] = lambda _: False,
    ) -> Verdict:
        """Whether a request proves a username; a suspended one cannot be proven."""
        rules, now_s = table.digest, int(unix_s)
        is_stale, tried = False, None
        for offered in credentials_of(request):
            if offered.realm != rules.realm or offered.algorithm not in rules.algorithms:
                continue  # meant for somebody else
            user = self._known(table, offered, request, source)
            is_fresh = self.nonces.is_fresh(rules.nonce_key, offered.nonce, source.host, now_s)
            if user is None or is_suspended(offered.username):
                tried = offered.username[:LONGEST_USERNAME] if is_fresh else tried
            elif is_fresh and self.nonces.use(offered.nonce, offered.nc, now_s):
                return Admitted(user.trunk, offered.username)
            else:
                # "stale: ... the client may wish to simply retry the request with a new
                # encrypted response" (RFC 7616 section 3.3): only to who knows the password.
                is_stale = True
        nonce = self.nonces.make(rules.nonce_key, source.host, now_s)
        lines = challenge_lines(rules.realm, nonce, rules.algorithms, stale=is_stale)
        return Challenged(lines, tried, is_stale)

    def _known(
        self, table: TrunkTable, offered: Credentials, request: Request, source: Peer
    ) -> DigestUser | None:
        """The user that the credentials prove."""
        user = table.digest.users.get(offered.username)
        key = self._nobody[offered.algorithm]
        if user is not None and user.realm == table.digest.realm:
            key = user.ha1.get(offered.algorithm, key)
        is_right = is_proven(offered, request.method, key)
        if user is None or not is_right or not _is_for(offered.uri, request):
            return None
        trunk = user.trunk
        if trunk.sip.auth.only_from_addresses and not table.lives_at(
            trunk.id, source.host, source.port
        ):
            return None
        return user


def _is_for(uri: str, request: Request) -> bool:
    """Whether the URI that was hashed is that of the request.

    Telephones write the domain alone, or another port and parameters; what is called must be
    the same, or an answer tricked out of somebody would place calls to anywhere.
    """
    try:
        hashed, asked = number_of(parse_uri(uri)), number_of(request.address)
    except MalformedMessage:
        return uri == request.uri
    return hashed == asked or not (hashed and asked)


def is_username_of(table: TrunkTable, username: str, address: SipUri) -> bool:
    """Whether who has proven ``username`` may register ``address`` (section 10.3 step 4)."""
    wanted = address.number
    if wanted == username:
        return True
    mine, theirs = table.digest.users.get(username), table.digest.users.get(wanted)
    return mine is not None and theirs is not None and mine.trunk.id == theirs.trunk.id
