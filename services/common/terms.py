"""The price of one leg of a call, as contracted when it was set up.

routing chooses the terms, signaling carries them unread, rating authorises and settles by them:
whatever happens to the deck meanwhile, a call is charged by the very row it was admitted with.
"""

from decimal import Decimal

import msgspec

from services.common.errors import Invalid
from services.common.money import MAX_DIGITS, RoundingMode


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rate row, with the rounding rules of the account that pays or is paid by it."""

    account_id: str
    rate_id: int
    deck_id: str
    prefix: str
    currency: str
    """ISO 4217."""
    connect_fee: Decimal = Decimal(0)
    first_price: Decimal
    """Per minute, during the first interval."""
    next_price: Decimal
    """Per minute, after it."""
    first_s: int = 1
    """The first interval, charged in full once answered; seconds."""
    next_s: int = 1
    """Every further started interval is charged in full; seconds."""
    minimum: Decimal = Decimal(0)
    """The least an answered, charged call costs."""
    free_s: int = 0
    """Taken off every call before the intervals are counted."""
    grace_s: int = 0
    """Calls up to this long are free; longer ones pay in full."""
    digits: int = 6
    mode: RoundingMode = RoundingMode.HALF_UP
    precision_ms: int = 1
    """A fraction of a second from here on counts as a second (1 to 1000)."""

    def __post_init__(self) -> None:
        for name in ("connect_fee", "first_price", "next_price", "minimum"):
            price: Decimal = getattr(self, name)
            if not price.is_finite() or price < 0:
                raise Invalid(name, "must be a number from 0 up")
        for name in ("first_s", "next_s"):
            if getattr(self, name) < 1:
                raise Invalid(name, "must be at least 1 second")
        for name in ("free_s", "grace_s"):
            if getattr(self, name) < 0:
                raise Invalid(name, "must not be negative")
        if not 0 <= self.digits <= MAX_DIGITS:
            raise Invalid("digits", f"must be 0 to {MAX_DIGITS}")
        if not 1 <= self.precision_ms <= 1000:
            raise Invalid("precision_ms", "must be 1 to 1000")


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Terms).decode


def encode_terms(terms: Terms) -> bytes:
    """The opaque form that travels through signaling."""
    return _encode(terms)


def decode_terms(data: bytes) -> Terms:
    """Read the opaque form.

    Raises:
        Invalid: the bytes are not terms.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise Invalid("terms", str(error)) from error
