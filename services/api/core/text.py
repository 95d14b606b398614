"""What strings from outside may contain."""

import re

# C0, DEL, C1, and the separators that some readers take for line ends: none belongs in a name,
# a number or an address, and each can forge a header or a log line.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_IN_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def one_line(text: str) -> str:
    """``text`` as it is.

    Raises:
        ValueError: it contains a line end or another control character.
    """
    if _CONTROL.search(text):
        raise ValueError("must not contain line ends or control characters")
    return text


def many_lines(text: str) -> str:
    """``text`` as it is; tabs and line ends are allowed.

    Raises:
        ValueError: it contains another control character.
    """
    if _CONTROL_IN_TEXT.search(text):
        raise ValueError("must not contain control characters")
    return text


def plain_json(value: object) -> object:
    """A JSON value whose every string, keys included, is on one line.

    Raises:
        ValueError: one is not.
    """
    match value:
        case str():
            one_line(value)
        case list():
            for one in value:
                plain_json(one)
        case dict():
            for key, one in value.items():
                one_line(str(key))
                plain_json(one)
        case _:
            pass
    return value
