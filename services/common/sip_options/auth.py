"""Who proves what to whom: digest, and registration in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from services.common.sip_options.group import Conflict, Group

# See :mod:`.text` for what stands after ``$``.
_ONE_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]*$(?!\n)"
_HOST_PORT = r"^[A-Za-z0-9._:\[\]-]*$(?!\n)"
_IN_URI = r"^[A-Za-z0-9._~!$&'()*+,=-]*$(?!\n)"

_TEXT = "one line of text"
Secret = Annotated[str, msgspec.Meta(max_length=256, pattern=_ONE_LINE, description=_TEXT)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=86_400)]


class CustomerAuth(Group, frozen=True):
    """Digest asked of a customer."""

    required: bool = False
    """Calls from the trunk's addresses are challenged too; without, the address is enough."""
    only_from_addresses: bool = False
    """The trunk's credentials are good only from its addresses."""


class CustomerRegistrations(Group, frozen=True):
    """What may be registered under each username of a trunk."""

    most: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    """Contacts at once."""
    when_full: Literal["replace", "refuse"] = "replace"
    """Whether one more replaces the oldest or is refused with 403."""
    min_expires_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60
    """Shorter ones get 423."""
    max_expires_s: Annotated[int, msgspec.Meta(ge=60, le=86_400)] = 3600
    """Longer ones are shortened, and what asks for none gets it."""
    probe_s: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 0
    """OPTIONS to each contact this often; three without answer and it is forgotten. 0 = never."""

    def nonsense(self) -> Iterator[Conflict]:
        """See :class:`Group`."""
        if self.min_expires_s > self.max_expires_s:
            limit = f"must not be above max_expires_s, which is {self.max_expires_s}"
            yield Conflict("min_expires_s", limit)


class VendorAuth(Group, frozen=True):
    """Our account with a vendor."""

    username: Annotated[
        str, msgspec.Meta(max_length=128, pattern=_ONE_LINE, description=_TEXT)
    ] = ""
    """Empty: his challenges are not answered."""
    password: Secret = ""
    realm: Annotated[str, msgspec.Meta(max_length=256, pattern=_ONE_LINE, description=_TEXT)] = ""
    """The only realm whose challenges are answered; empty: any."""
    weakest: Literal["MD5", "SHA-256", "SHA-512-256"] = "MD5"
    """Challenges that offer only weaker algorithms are not answered."""

    def nonsense(self) -> Iterator[Conflict]:
        """See :class:`Group`."""
        for name, value in (("password", self.password), ("realm", self.realm)):
            if value and not self.username:
                yield Conflict(name, "means nothing without username")


class VendorRegister(Group, frozen=True):
    """Registration of the switch at a vendor, with the username of ``auth``."""

    enabled: bool = False
    expires_s: Literal["auto"] | Seconds = "auto"
    """What is asked for; ``auto`` leaves it to the registrar."""
    retry_s: Seconds = 60
    """Pause after a failure."""
    contact_user: Annotated[
        str,
        msgspec.Meta(
            max_length=64,
            pattern=_IN_URI,
            description="the user part of a URI: letters, digits and -._~!$&'()*+,=",
        ),
    ] = ""
    """User part of our Contact; empty: the username."""
    registrar: Annotated[
        str,
        msgspec.Meta(
            max_length=260,
            pattern=_HOST_PORT,
            description="HOST or HOST:PORT, an IPv6 address in brackets",
        ),
    ] = ""
    """``host`` or ``host:port``; empty: the trunk's own."""


class VendorRegistered(Group, frozen=True):
    """A vendor trunk whose calls go to what is registered (host ``registered:USERNAME``)."""

    request_uri: Literal["contact", "number"] = "contact"
    """The request URI: the contact as registered (phones), or the called number there (PBXs)."""
