"""Records as CSV that spreadsheets may open."""

from services.api.core.records import jsonable

COLUMNS = (
    "call_id", "node", "invited_at", "ringing_at", "answered_at", "ended_at", "rated_at",
    "talk_ms", "pdd_ms", "customer_trunk_id", "customer_account_id", "source", "sip_call_id",
    "caller", "called", "caller_billed", "called_billed", "vendor_trunk_id", "vendor_account_id",
    "vendor_caller", "vendor_called", "attempt_count", "end_side", "end_reason", "cause_source",
    "sip_code_in", "sip_code_out", "q850_in", "q850_out", "reason_header", "customer_currency",
    "price", "customer_billed_s", "customer_rate_id", "customer_deck_id", "customer_prefix",
    "customer_rate", "vendor_currency", "cost", "vendor_billed_s", "vendor_rate_id",
    "vendor_deck_id", "vendor_prefix", "vendor_rate", "call_count",
)  # fmt: skip
"""The columns of a list of records, in the order of an export."""

_FORMULA = frozenset("=@\t\r")
_SIGNS = frozenset("+-")


def csv_cell(value: object) -> str:
    """One value as text; what a spreadsheet would take for a formula is quoted.

    Numbers as dialled come from outside: ``=HYPERLINK(...)`` is a valid user part.
    """
    if value is None:
        return ""
    text = str(jsonable(value))
    if not isinstance(value, str) or not text:
        return text
    is_signed_number = text[0] in _SIGNS and text[1:].replace(".", "", 1).isdigit()
    if text[0] in _FORMULA or (text[0] in _SIGNS and not is_signed_number):
        return "'" + text
    return text
