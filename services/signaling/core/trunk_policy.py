"""The options of a trunk, compiled once: what is at its defaults costs a call one test.

``None`` stands for a group at its defaults.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from services.common.sip_options.early_media import EarlyMedia
from services.common.sip_options.headers import Headers
from services.common.sip_options.identity import VendorIdentity
from services.common.sip_options.numbers import Numbers
from services.common.sip_options.trunk import (
    DEFAULT_CUSTOMER,
    DEFAULT_VENDOR,
    CustomerSip,
    VendorSip,
)
from services.signaling.core import code_policy, header_policy, identity
from services.signaling.core.code_policy import CustomerCodePolicy, VendorCodePolicy
from services.signaling.core.header_policy import HeaderPolicy
from services.signaling.core.identity import Identity
from services.signaling.core.numbering import NumberSources


class CustomerPolicy(NamedTuple):
    """How signaling deals with one customer trunk."""

    is_usual: bool = True
    """Whether responses pass to him as from any vendor to any customer."""
    is_trusted: bool = False
    is_told_called: bool = False
    """Whether the called party's identity passes back to him."""
    numbers: NumberSources | None = None
    headers: HeaderPolicy | None = None
    codes: CustomerCodePolicy | None = None
    early_media: EarlyMedia | None = None
    setup_s: float = 0.0
    """0 = no limit."""

    @property
    def reason(self) -> str:
        """How Reason is dealt with in CANCEL and BYE to him."""
        return "pass" if self.codes is None else self.codes.reason


class VendorPolicy(NamedTuple):
    """How signaling deals with one vendor trunk."""

    is_usual: bool = True
    """Whether there is nothing of it in an INVITE."""
    is_trusted: bool = False
    identity: Identity | None = None
    headers: HeaderPolicy | None = None
    codes: VendorCodePolicy | None = None

    @property
    def reason(self) -> str:
        """How Reason is dealt with in CANCEL and BYE to him."""
        return "pass" if self.codes is None else self.codes.reason


USUAL_CUSTOMER: Final = CustomerPolicy()
USUAL_VENDOR: Final = VendorPolicy()


def customer_policy(sip: CustomerSip) -> CustomerPolicy:
    """Compile a customer's options."""
    if sip == DEFAULT_CUSTOMER:
        return USUAL_CUSTOMER
    is_trusted = sip.identity.trusted
    is_told_called = is_trusted and sip.identity.called_identity == "pass"
    headers = header_policy.compiled(sip.headers)
    codes = code_policy.compiled_for_customer(sip.codes)
    early_media = None if sip.early_media == EarlyMedia() else sip.early_media
    return CustomerPolicy(
        is_usual=not (is_told_called or headers or codes or early_media),
        is_trusted=is_trusted,
        is_told_called=is_told_called,
        numbers=(
            None if sip.numbers == Numbers() else NumberSources(sip.numbers, is_trusted=is_trusted)
        ),
        headers=headers,
        codes=codes,
        early_media=early_media,
        setup_s=sip.timeouts.setup_ms / 1000,
    )


def vendor_policy(sip: VendorSip) -> VendorPolicy:
    """Compile a vendor's options."""
    if sip == DEFAULT_VENDOR:
        return USUAL_VENDOR
    return VendorPolicy(
        is_usual=sip.identity == VendorIdentity() and sip.headers == Headers(),
        is_trusted=sip.identity.trusted,
        identity=identity.compiled(sip.identity),
        headers=header_policy.compiled(sip.headers),
        codes=code_policy.compiled_for_vendor(sip.codes),
    )
