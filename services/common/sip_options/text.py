r"""The kinds of text options are made of: none of them can end a header line.

Patterns end in ``$(?!\n)`` because ``$`` alone is content with a line break at the end, which
would become one of ours on the wire. JSON Schema reads them the same.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

HeaderName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9\-.!%*_+`'~]{2,64}$(?!\n)",
        description="a header name of 2 to 64 characters, not in its compact form",
    ),
]
"""A header name (RFC 3261 section 25.1); compact forms are not taken, so that none slips by."""
HeaderValue = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]{1,512}$(?!\n)",
        description="one line of 1 to 512 characters",
    ),
]
"""What may follow the colon."""
Domain = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(|([A-Za-z0-9_\-.]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])"
        r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?)"
        r"$(?!\n)",
        description="HOST or HOST:PORT, an IPv6 address in brackets, or empty",
    ),
]
"""The host part of a URI, with port where it matters; empty for the usual one."""
ServerName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(|[A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?)\.?$(?!\n)",
        description="a host name, or empty",
    ),
]
"""Whom a certificate is for; empty for the usual one."""
ListenerName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(|[A-Za-z0-9_.\-]{1,255}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?"
        r"|[0-9A-Fa-f:.]{2,45})$(?!\n)",
        description="the name of a listening address, its HOST or HOST:PORT, or empty",
    ),
]
"""One of our listening addresses, by its name, its host or its ``host:port``; empty for any."""
Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,4}$(?!\n)", description="up to 4 digits")]
"""A dialling prefix."""
CountryCode = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(|[1-9][0-9]{0,2})$(?!\n)",
        description="a country code of 1 to 3 digits without leading zero, or empty",
    ),
]
Number = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^\+?[0-9]{0,18}$(?!\n)",
        description="a telephone number of up to 18 digits, + in front if need be",
    ),
]
"""A telephone number."""
StatusKey = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([3-6][0-9][0-9]|other)$(?!\n)",
        description="a SIP status from 300 to 699, or other",
    ),
]
"""A final SIP status, or ``other`` for all that are not named."""
CauseKey = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([1-9][0-9]?|1[01][0-9]|12[0-7])$(?!\n)",
        description="a Q.850 cause from 1 to 127",
    ),
]
"""A Q.850 cause, 1 to 127."""
Status = Annotated[int, msgspec.Meta(ge=300, le=699)]
Refusal = Annotated[int, msgspec.Meta(ge=400, le=699)]
"""A final status that refuses."""
Cause = Annotated[int, msgspec.Meta(ge=1, le=127)]
