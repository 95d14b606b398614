"""States of the transaction machines, named as in the figures of RFC 3261 section 17."""

from enum import Enum, auto
from typing import Final


class State(Enum):
    """Union of the states of figures 5 to 8 and RFC 6026; each machine uses its own few."""

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


# An attribute of an Enum class costs several times a global, and machines compare states often.
CALLING: Final = State.CALLING
TRYING: Final = State.TRYING
PROCEEDING: Final = State.PROCEEDING
ACCEPTED: Final = State.ACCEPTED
COMPLETED: Final = State.COMPLETED
CONFIRMED: Final = State.CONFIRMED
TERMINATED: Final = State.TERMINATED
