"""Money moved by hand: payments received or made, corrections."""

import hashlib
from collections.abc import Callable, Sequence

from services.api.app.objects import author_of
from services.api.core.keys import Caller
from services.api.core.kinds import Kind
from services.api.core.problems import NotFound
from services.api.core.records import Record, masked
from services.api.ports import Books, Cashier, Configuration, Paid, Payment

KINDS = ("payment", "correction")


class Payments:
    """Rating keeps the books; here payments get an identity and an audit event."""

    def __init__(
        self,
        configuration: Configuration,
        cashier: Cashier,
        books: Books,
        new_id: Callable[[], str],
    ) -> None:
        self._configuration = configuration
        self._cashier = cashier
        self._books = books
        self._new_id = new_id

    async def pay(
        self, payment: Payment, caller: Caller, idempotency_key: str | None
    ) -> tuple[Payment, Paid]:
        """Book a payment. With an idempotency key, the very same one however often it is asked.

        Raises:
            NotFound: no such account.
            Invalid: the currency is not the account's, or the amount cannot be booked.
        """
        await self._configuration.get(Kind.ACCOUNT, payment.account_id)
        identity = self._identity(caller, idempotency_key)
        booked = Payment(
            identity,
            payment.account_id,
            payment.amount,
            payment.currency,
            payment.kind,
            payment.note,
            caller.actor,
        )
        paid = await self._cashier.pay(booked)
        if not paid.duplicate:
            async with self._configuration.change(author_of(caller)) as change:
                await change.audit(
                    "create", "payment", booked.id, None, _shown(booked, paid.balance)
                )
        return booked, paid

    async def page(
        self, *, before: int | None, limit: int, account_id: str, kinds: Sequence[str] = KINDS
    ) -> list[Record]:
        """Payments and corrections, or every transfer, newest first."""
        return await self._books.transfers(
            before=before, limit=limit, account_id=account_id, kinds=kinds
        )

    async def get(self, payment_id: str) -> Record:
        """One payment. Raises: NotFound."""
        found = await self._books.transfer(payment_id)
        if found is None or found["kind"] not in KINDS:
            raise NotFound("payment", payment_id)
        return found

    def _identity(self, caller: Caller, idempotency_key: str | None) -> str:
        # Derived, so that even a repetition the answer store knows nothing of books once.
        if idempotency_key is None:
            return self._new_id()
        text = f"{caller.user_id}\n{idempotency_key}"
        return "pay_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _shown(payment: Payment, balance: str) -> Record:
    return masked(
        {
            "account_id": payment.account_id,
            "amount": payment.amount,
            "currency": payment.currency,
            "kind": payment.kind,
            "note": payment.note,
            "balance": balance,
        }
    )
