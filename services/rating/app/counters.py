"""What the credit desk has done so far."""


class Counters:
    """Plain integers, read by telemetry."""

    __slots__ = (
        "adopted",
        "authorized",
        "extended",
        "forgotten",
        "lost_leases",
        "refills",
        "refused",
        "released",
    )

    def __init__(self) -> None:
        self.authorized = 0
        self.extended = 0
        self.released = 0
        self.refills = 0
        self.adopted = 0
        self.forgotten = 0
        self.lost_leases = 0
        self.refused: dict[str, int] = {}
