"""Who is said to be calling: trust, privacy and the headers that carry numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from services.common.sip_options.group import Conflict, Group
from services.common.sip_options.text import CountryCode, Digits, Domain, Number

Format = Literal["as_routed", "plain", "plus", "international", "national"]
Source = Literal["none", "pass", "caller"]


class CustomerIdentity(Group, frozen=True):
    """What a customer's word about identities is worth, and what he learns of the called party."""

    trusted: bool = False
    """Whether he is part of our trust domain (RFC 3325): his P-Asserted-Identity is believed."""
    called_identity: Literal["none", "pass"] = "none"
    """The called party's P-Asserted-Identity in ringing and answer; ``pass`` works between a
    trusted vendor and a trusted customer."""


class VendorIdentity(Group, frozen=True):
    """What a vendor is told about caller and called party."""

    trusted: bool = False
    """Whether the vendor is part of our trust domain: he is told who calls though the caller asked
    for privacy, and keeps it to himself (RFC 3325 section 7)."""
    display: Literal["none", "pass"] = "none"
    """The display name of the caller's From."""
    p_asserted_identity: Source = "none"
    """``pass``: that of a trusted customer; ``caller``: the caller's number. Needs ``trusted``."""
    p_preferred_identity: Source = "none"
    remote_party_id: Source = "none"
    """``pass`` works for trusted customers."""
    remote_party_id_screen: bool = True
    """``screen=yes`` or ``no`` in a Remote-Party-ID of ours."""
    diversion: Literal["none", "pass"] = "none"
    history_info: Literal["none", "pass"] = "none"
    p_charge_info: Literal["none", "pass", "caller", "fixed"] = "none"
    """RFC 8496. ``pass``: that of a trusted customer; ``fixed``: ``charge_number``."""
    charge_number: Number = ""
    privacy: Literal["pass", "none", "id", "none_value"] = "pass"
    """``pass``: as the caller asks; ``none``: ignored, every number is shown; ``id``: as though
    every caller asked for it; ``none_value``: ignored, and ``Privacy: none`` is sent."""
    user_phone: bool = False
    """``user=phone`` on every URI with a telephone number."""
    caller_format: Format = "as_routed"
    """How a number of 7 to 15 digits, E.164 with or without plus, is written: ``plain`` digits,
    ``plus`` in front, ``international`` prefix in front, or ``national``: the national prefix
    instead of the country code, and numbers of other countries as ``international``."""
    called_format: Format = "as_routed"
    country_code: CountryCode = ""
    """Ours, for ``national``."""
    national_prefix: Digits = "0"
    international_prefix: Digits = "00"
    number_params: Literal["pass", "none"] = "pass"
    """``npdi``, ``rn``, ``cic`` and their contexts (RFC 4694) of the called number."""
    host: Domain = ""
    """Host of From and of all other URIs with numbers of the calling side; empty: our address."""
    to_host: Domain = ""
    """Host of To and Request-URI; empty: the trunk's host."""

    def conflicts(self) -> Iterator[Conflict]:
        """See :class:`Group`."""
        if self.p_asserted_identity != "none" and not self.trusted:
            yield Conflict("p_asserted_identity", "is for vendors that are trusted")
        if "national" in (self.caller_format, self.called_format) and not self.country_code:
            yield Conflict("country_code", "is needed by the national format")
        if self.p_charge_info == "fixed" and not self.charge_number:
            yield Conflict("charge_number", "is needed by a fixed p_charge_info")
