"""Digest authentication: hashes, and what is kept of a password (RFC 7616, RFC 8760)."""

import hashlib
from typing import Final

ALGORITHMS: Final = ("SHA-512-256", "SHA-256", "MD5")
"""Strongest first, by the names of the IANA registry; each also has a ``-sess`` form."""

_IN_HASHLIB: Final = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}


def hexdigest(algorithm: str, data: bytes) -> str:
    """The hash of ``data`` in lower-case hexadecimal digits."""
    # MD5 is what the equipment of customers and vendors asks for; it guards no stored password
    # better or worse than the digest scheme itself does.
    return hashlib.new(_IN_HASHLIB[algorithm], data, usedforsecurity=False).hexdigest()


def ha1(algorithm: str, username: str, realm: str, password: str) -> str:
    """What a server keeps instead of the password (RFC 7616 section 3.4.2)."""
    return hexdigest(algorithm, f"{username}:{realm}:{password}".encode())


def every_ha1(username: str, realm: str, password: str) -> dict[str, str]:
    """:func:`ha1` by algorithm."""
    return {name: ha1(name, username, realm, password) for name in ALGORITHMS}
