"""What can go wrong between a client and the engine."""

from services.common.errors import SwitchError


class ConnectionEnded(SwitchError):
    """The peer went away, between packets or in the middle of one."""

    def __init__(self) -> None:
        super().__init__("the peer closed the connection")


class MalformedPacket(SwitchError):
    """What the peer sent cannot be read, nor anything after it: the connection ends."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownColumnType(MalformedPacket):
    """A column whose bytes cannot be measured, so the end of its block cannot be found."""

    def __init__(self, name: str) -> None:
        super().__init__(f"cannot read a column of type {name[:200]!r}")
        self.name = name


class EngineRefused(SwitchError):
    """The engine, or this server in its place, answered a statement with an error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"Code: {code}. {message}")
        self.code = code
        self.message = message
