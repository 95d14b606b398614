"""What the tools of attackers write into their messages when nobody tells them not to.

Found before anything is parsed, and looked for only in messages of strangers: a customer may
call his equipment what he likes.
"""

from __future__ import annotations

import re
from typing import Final

SIGNATURES: Final = (
    "friendly-scanner", "friendly-request", "sipvicious", "sip-scan", "sipscan", "sipcli",
    "vaxsipuseragent", "vaxipuseragent", "sipsak", "sundayddr", "iwar", "sivus", "smap",
    "pplsip", "elite 1.", "scanner", "nmap", "masscan", "zgrab", "sippts", "svwar", "svcrack",
    "gulp", "sipptk", "stretchoid", "eyebeam release 3007n",
)  # fmt: skip
"""In User-Agent, From or To, in any case; printed for firewalls too."""

MOST_BYTES: Final = 2048
"""Of a message are looked at: these headers stand near its beginning."""

_SIGNATURE: Final = re.compile(
    rb"\n(?:user-agent|from|f|to|t|contact|m|server)[ \t]*:[^\n]*?("
    + b"|".join(re.escape(one.encode()) for one in SIGNATURES)
    + rb")",
    re.IGNORECASE,
)


def signature_in(data: bytes) -> str:
    """The signature a message bears; ``""`` for none."""
    found = _SIGNATURE.search(data, 0, MOST_BYTES)
    return found[1].decode("latin-1").lower() if found is not None else ""
