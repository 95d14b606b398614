"""Money moved by hand: checked, then booked once."""

from typing import Final

from services.common.errors import Invalid
from services.rating.ports import Ledger, Paid, Payment

_KINDS: Final = ("payment", "correction")
_LONGEST_ID: Final = 100
_LONGEST_TEXT: Final = 1000


class Cashier:
    """Takes payments and corrections."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.paid = 0

    async def pay(self, payment: Payment) -> Paid:
        """Book ``payment``, or find it booked.

        Raises:
            Invalid: a field is not acceptable; nothing was booked.
            Unavailable: it may or may not have been booked; ask again with the same id.
        """
        _check(payment)
        paid = await self._ledger.pay(payment)
        self.paid += not paid.is_duplicate
        return paid


def _check(payment: Payment) -> None:
    # A slash is what the keys of calls have and those of payments have not.
    payment_id = payment.payment_id
    if not payment_id or len(payment_id) > _LONGEST_ID or "/" in payment_id:
        raise Invalid("payment_id", f"must be 1 to {_LONGEST_ID} characters without a slash")
    if payment.kind not in _KINDS:
        raise Invalid("kind", "must be 'payment' or 'correction'")
    if payment.amount == 0:
        raise Invalid("amount", "must not be zero")
    for field in ("payment_id", "account_id", "currency", "note", "actor"):
        text: str = getattr(payment, field)
        if len(text) > _LONGEST_TEXT:
            raise Invalid(field, f"is longer than {_LONGEST_TEXT} characters")
        if "\x00" in text:
            raise Invalid(field, "has a NUL in it")
