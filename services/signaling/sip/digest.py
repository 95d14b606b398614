"""Digest challenges and credentials (RFC 7616, RFC 8760, RFC 3261 section 22), both sides.

Pure text in and out. Everything parsed here was written by strangers: it is bounded, and what
breaks the grammar counts as absent. Quoted values are kept raw, as written between the quotes,
which is what both sides hash.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from services.common.digest import ALGORITHMS, hexdigest
from services.signaling.sip.headers import quote, wire_text
from services.signaling.sip.message import Request, Response

LONGEST: Final = 2048
"""Characters of one challenge or one set of credentials; honest ones stay below 1,000."""
MOST: Final = 8
"""Challenges or credentials looked at in one message."""
LARGEST_COUNT: Final = 0xFFFFFFFF
"""Nonce counts have eight hexadecimal digits."""

_PARAM: Final = re.compile(
    r"[ \t]*([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*=[ \t]*"
    r'(?:"([^"\\\x00-\x1f\x7f]*(?:\\.[^"\\\x00-\x1f\x7f]*)*)"|([^\x00-\x20",;=\x7f]+))'
    r"[ \t]*(?:,|$)"
)
_NONCE_COUNT: Final = re.compile(r"[0-9a-fA-F]{8}")
_BY_NAME: Final = {name.upper(): name for name in ALGORITHMS}
_SESSION: Final = "-SESS"


class Challenge(NamedTuple):
    """One challenge that we could answer."""

    realm: str
    nonce: str
    algorithm: str
    """One of :data:`ALGORITHMS`."""
    algorithm_text: str = ""
    """As written, to be echoed; ``""`` when it was left out, which means MD5."""
    is_session: bool = False
    """The ``-sess`` form."""
    has_qop: bool = True
    """Whether ``auth`` is offered; without, the peer is one of RFC 2069."""
    opaque: str | None = None
    is_stale: bool = False
    """Only the nonce was too old: user and password were right."""
    is_proxy: bool = False
    """407 rather than 401."""

    @property
    def strength(self) -> int:
        """The larger, the better."""
        return len(ALGORITHMS) - ALGORITHMS.index(self.algorithm)


class Credentials(NamedTuple):
    """What a client says to prove who it is, with ``qop=auth``."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    is_session: bool
    cnonce: str
    nc_text: str

    @property
    def nc(self) -> int:
        """The nonce count."""
        return int(self.nc_text, 16)


# --- the client --------------------------------------------------------------------------


def challenges_of(response: Response) -> list[Challenge]:
    """The challenges of a 401 or 407 that can be answered at all, in their order."""
    is_proxy = response.status == 407
    name = "proxy-authenticate" if is_proxy else "www-authenticate"
    found = [_challenge(value, is_proxy=is_proxy) for value in response.headers(name)[:MOST]]
    return [challenge for challenge in found if challenge is not None]


def choose(
    challenges: Iterable[Challenge], *, realm: str = "", weakest: str = "MD5"
) -> Challenge | None:
    """The strongest challenge that is ours to answer; ``None`` when none is.

    With ``realm`` those of others are not answered, whoever sends them: an answer is all that a
    dictionary attack needs. ``weakest`` is the least algorithm that will do.
    """
    least = len(ALGORITHMS) - ALGORITHMS.index(weakest)
    ours = [
        challenge
        for challenge in challenges
        if challenge.strength >= least and realm in {"", challenge.realm}
    ]
    return max(ours, key=lambda challenge: challenge.strength, default=None)


def authorization(
    challenge: Challenge,
    *,
    username: str,
    password: str,
    method: str,
    uri: str,
    cnonce: str,
    count: int,
) -> str:
    """The header line that answers a challenge; ``count`` counts uses of its nonce from 1."""
    name = wire_text(username)
    secret = f"{name}:{challenge.realm}:{wire_text(password)}"
    key = _hash(challenge.algorithm, secret)
    nc = f"{count:08x}"
    if challenge.is_session:
        key = _hash(challenge.algorithm, f"{key}:{challenge.nonce}:{cnonce}")
    proof = f"{nc}:{cnonce}:auth:" if challenge.has_qop else ""
    request = _hash(challenge.algorithm, f"{method}:{uri}")
    response = _hash(challenge.algorithm, f"{key}:{challenge.nonce}:{proof}{request}")
    parts = [
        f"username={quote(name)}",
        f'realm="{challenge.realm}"',
        f'nonce="{challenge.nonce}"',
        f'uri="{uri}"',
        f'response="{response}"',
    ]
    if challenge.algorithm_text:
        parts.append(f"algorithm={challenge.algorithm_text}")
    if challenge.opaque is not None:
        parts.append(f'opaque="{challenge.opaque}"')
    if challenge.has_qop:
        parts += ["qop=auth", f"nc={nc}"]
    if challenge.has_qop or challenge.is_session:
        parts.append(f'cnonce="{cnonce}"')
    header = "Proxy-Authorization" if challenge.is_proxy else "Authorization"
    return f"{header}: Digest {', '.join(parts)}"


# --- the server --------------------------------------------------------------------------


def challenge_lines(
    realm: str, nonce: str, algorithms: Sequence[str], *, stale: bool = False
) -> tuple[str, ...]:
    """The WWW-Authenticate lines that offer ``algorithms``, in the order of preference.

    One header per algorithm (RFC 8760 section 2.4); ``realm`` is ours and printable.
    """
    tail = ", stale=true" if stale else ""
    return tuple(
        f"WWW-Authenticate: Digest realm={quote(realm)}, algorithm={name},"
        f' nonce="{nonce}", qop="auth"{tail}'
        for name in algorithms
    )


def credentials_of(request: Request) -> list[Credentials]:
    """What a request offers as proof, as far as it is complete and could be ours."""
    if not request.has("authorization"):
        return []
    found = [_credentials(value) for value in request.headers("authorization")[:MOST]]
    return [credentials for credentials in found if credentials is not None]


def is_proven(credentials: Credentials, method: str, key: str) -> bool:
    """Whether ``credentials`` were made with the password behind ``key``, its HA1.

    Takes the same time whatever the answer.
    """
    algorithm = credentials.algorithm
    if credentials.is_session:
        key = _hash(algorithm, f"{key}:{credentials.nonce}:{credentials.cnonce}")
    request = _hash(algorithm, f"{method}:{credentials.uri}")
    expected = _hash(
        algorithm,
        f"{key}:{credentials.nonce}:{credentials.nc_text}:{credentials.cnonce}:auth:{request}",
    )
    given = credentials.response.lower().encode("latin-1", "replace")
    return hmac.compare_digest(expected.encode(), given)


# --- parsing -----------------------------------------------------------------------------


def _challenge(value: str, *, is_proxy: bool) -> Challenge | None:
    params = _params(value)
    named = _algorithm(params)
    if named is None or "realm" not in params or not params.get("nonce"):
        return None
    algorithm, is_session = named
    offered = {word.strip().lower() for word in params.get("qop", "").split(",")}
    has_qop = "auth" in offered
    if not has_qop and params.get("qop"):
        return None  # auth-int alone: we do not hash bodies
    return Challenge(
        params["realm"],
        params["nonce"],
        algorithm,
        params.get("algorithm", ""),
        is_session,
        has_qop,
        params.get("opaque"),
        params.get("stale", "").lower() == "true",
        is_proxy,
    )


def _credentials(value: str) -> Credentials | None:
    params = _params(value)
    named = _algorithm(params)
    if named is None or params.get("qop", "").lower() != "auth":
        return None
    needed = ("username", "realm", "nonce", "uri", "response", "cnonce", "nc")
    if not all(params.get(name) for name in needed) or not _NONCE_COUNT.fullmatch(params["nc"]):
        return None
    return Credentials(
        params["username"],
        params["realm"],
        params["nonce"],
        params["uri"],
        params["response"],
        named[0],
        named[1],
        params["cnonce"],
        params["nc"],
    )


def _algorithm(params: dict[str, str]) -> tuple[str, bool] | None:
    """The algorithm and whether in its ``-sess`` form; ``None`` for one we do not have."""
    text = params.get("algorithm", "MD5").upper()
    name = _BY_NAME.get(text.removesuffix(_SESSION))
    return None if name is None else (name, text.endswith(_SESSION))


def _params(value: str) -> dict[str, str]:
    """The parameters of the Digest scheme; nothing for other schemes and broken grammar."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() != "digest" or len(value) > LONGEST:
        return {}
    params: dict[str, str] = {}
    at, end = 0, len(rest)
    while at < end:
        match = _PARAM.match(rest, at)
        if match is None or match[1].lower() in params:
            return {}
        params[match[1].lower()] = match[3] if match[2] is None else match[2]
        at = match.end()
    return params


def _hash(algorithm: str, text: str) -> str:
    return hexdigest(algorithm, text.encode("latin-1", "replace"))
