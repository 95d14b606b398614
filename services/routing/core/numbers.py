"""Numbers as people and switches write them, brought to the digits that prefixes are made of."""

MAX_DIGITS = 32
"""E.164 allows 15; carriers put their own codes in front."""
_MAX_WRITTEN = 64

# RFC 3966 section 5.1.1: visual separators mean nothing; some also send spaces.
_SEPARATORS = str.maketrans("", "", " -.()")
# What could end the user part of a URI or a header, were it copied into one.
_UNSAFE = frozenset("\"<>@;:?&=,/\\' ")


def digits_of(written: str) -> str | None:
    """The digits of the user part of a SIP or tel URI: country code first, no ``+`` and no ``00``.

    Parameters such as ``;npdi`` are dropped. ``None`` when what remains is not a number of 1 to 32
    digits; letters, ``*`` and ``#`` make it none.
    """
    if len(written) > _MAX_WRITTEN:
        return None
    number = written.partition(";")[0].translate(_SEPARATORS)
    if number.startswith("+"):
        number = number[1:]
    elif number.startswith("00"):
        number = number[2:]
    if number.isascii() and number.isdigit() and len(number) <= MAX_DIGITS:
        return number
    return None


def caller_as_sent(written: str) -> str:
    """The caller to show to a vendor: as received, unless that could be read as something else.

    A withheld or alphanumeric caller passes; one with characters that mean something in a URI or
    header is reduced to its digits, or to nothing.
    """
    harmless = written.isascii() and written.isprintable() and len(written) <= _MAX_WRITTEN
    if harmless and _UNSAFE.isdisjoint(written):
        return written
    return digits_of(written) or ""


def called_as_sent(digits: str, *, strip: int, prepend: str) -> str:
    """The called number in a vendor's notation; empty when it is stripped to nothing."""
    return prepend + digits[strip:] if strip < len(digits) else ""


_OFFERED = frozenset("+*#.-_;=")


def called_as_offered(written: str) -> str | None:
    """A called number that a routing server wants sent as it is; ``None`` if it is none to send.

    Parameters of the user part (``;npdi``, ``;rn=``) may be in it.
    """
    is_fit = written.isascii() and 0 < len(written) <= _MAX_WRITTEN
    if is_fit and all(each.isalnum() or each in _OFFERED for each in written):
        return written
    return None


def priced_number(offered: str, *, prepend: str, called: str) -> str:
    """The digits by which a vendor is paid for a call that it is sent as ``offered``.

    The vendor trunk's own prefix is no part of the number; what is no number is paid by the one
    that was dialled.
    """
    bare = offered[len(prepend) :] if prepend and offered.startswith(prepend) else offered
    return digits_of(bare) or called
