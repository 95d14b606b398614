"""The root of every error this project raises on purpose."""

NOT_CONFIGURED = 78
"""Exit status of a process whose settings cannot be, as sysexits has it."""


class SwitchError(Exception):
    """Something the caller may handle: named after the fact, carrying the facts as attributes."""


class Unavailable(SwitchError):
    """What we depend on does not answer: a database, the bus, another service."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is unavailable")
        self.what = what


class Invalid(SwitchError):
    """A value is not acceptable; ``field`` says which, ``reason`` says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
