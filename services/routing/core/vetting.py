"""What rules a vendor out for a customer, whatever the number: settings, currency, loops."""

from services.common.explanation import Considered, Verdict
from services.routing.core.trunks import CustomerTrunk, VendorTrunk

_SIP_PORT = 5060


def vet(customer: CustomerTrunk, vendor: VendorTrunk) -> Considered | None:
    """Why ``vendor`` is never used for ``customer``; ``None`` when it may be."""
    verdict = _verdict(customer, vendor)
    if verdict is None:
        return None
    return Considered(
        vendor_trunk_id=vendor.id,
        name=vendor.name,
        verdict=verdict[0],
        priority=vendor.priority,
        weight=vendor.weight,
        because=verdict[1],
    )


def _verdict(customer: CustomerTrunk, vendor: VendorTrunk) -> tuple[Verdict, str] | None:
    account = vendor.rates.account
    if customer.vendors and vendor.id not in customer.vendors:
        return Verdict.NOT_ALLOWED, "not among the vendors this customer trunk may use"
    if not vendor.enabled:
        return Verdict.DISABLED, "the trunk is disabled"
    if not account.enabled:
        return Verdict.ACCOUNT_DISABLED, f"its account {account.name} is disabled"
    if _address(vendor.host, vendor.port) in {_parsed(each) for each in customer.addresses}:
        return Verdict.SAME_TRUNK, "the call came from this very address"
    if 0 in (vendor.max_calls, vendor.max_cps):
        return Verdict.CAPACITY, "its limit is set to no calls at all"
    return _currency_verdict(customer, vendor)


def _currency_verdict(customer: CustomerTrunk, vendor: VendorTrunk) -> tuple[Verdict, str] | None:
    account, deck = vendor.rates.account, vendor.rates.deck
    if deck.currency != account.currency:
        because = f"its deck {deck.name} is in {deck.currency}, its account in {account.currency}"
        return Verdict.CURRENCY, because
    paid_in = customer.rates.account.currency
    if deck.currency != paid_in:
        return Verdict.CURRENCY, f"costs {deck.currency}, but the customer pays {paid_in}"
    return None


def _parsed(address: str) -> tuple[str, int]:
    """``host``, ``host:port`` or ``[v6]:port``.

    An address without port says from where calls are taken; what takes calls there is assumed on
    the SIP port.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return _address(host, int(port))
    return _address(address, _SIP_PORT)


def _address(host: str, port: int) -> tuple[str, int]:
    return host.strip("[]").lower(), port
