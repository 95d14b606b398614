"""Numbers and strings of the native protocol, read from a stream and written to bytes."""

from collections.abc import Callable

from deploy.local.clickhouse.errors import ConnectionEnded, MalformedPacket

CHUNK_BYTES = 1 << 18
"""Asked of the peer at once; also the size of the pieces an insert is handed on in."""

_MAX_VARINT_SHIFT = 63


def varint(value: int) -> bytes:
    """``value`` in groups of seven bits, least significant first."""
    if value < 128:
        return bytes((value,))
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def string(value: str | bytes) -> bytes:
    """``value`` with its length in bytes in front."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(len(raw)) + raw


class WireReader:
    """Reads a stream through one buffer, and can copy what it reads to a sink as it goes.

    ``receive`` returns at most the number of bytes asked for, and none at the end. Every
    method raises :class:`ConnectionEnded` when the stream ends before it is satisfied.
    """

    __slots__ = ("_at", "_buffer", "_copied_to", "_receive", "_sink")

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._buffer = b""
        self._at = 0
        self._sink: Callable[[bytes], None] | None = None
        self._copied_to = 0

    @property
    def buffered(self) -> int:
        """Bytes received and not yet read."""
        return len(self._buffer) - self._at

    def fill(self) -> None:
        """Receive something when nothing is buffered."""
        self._need(1)

    def copy_to(self, sink: Callable[[bytes], None] | None) -> None:
        """From here on hand every byte that is read to ``sink``; ``None`` ends that."""
        self._hand_on()
        self._sink = sink
        self._copied_to = self._at

    def byte(self) -> int:
        """The next byte."""
        self._need(1)
        self._at += 1
        return self._buffer[self._at - 1]

    def varint(self) -> int:
        """The next number in groups of seven bits."""
        value = shift = 0
        while True:
            group = self.byte()
            value |= (group & 127) << shift
            if group < 128:
                return value
            shift += 7
            if shift > _MAX_VARINT_SHIFT:
                raise MalformedPacket("a number of more than 64 bits")

    def uint64(self) -> int:
        """The next eight bytes as a number, least significant first."""
        return int.from_bytes(self.take(8), "little")

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes; meant for small counts that were checked."""
        self._need(count)
        self._at += count
        return self._buffer[self._at - count : self._at]

    def string(self, *, most: int, what: str) -> str:
        """The next string, of at most ``most`` bytes."""
        length = self.varint()
        if length > most:
            raise MalformedPacket(f"{what} of {length} bytes, more than {most}")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise MalformedPacket(f"{what} is not UTF-8") from error

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes, however many they are."""
        while (available := len(self._buffer) - self._at) < count:
            self._at += available
            count -= available
            self._need(1)
        self._at += count

    def skip_strings(self, count: int, *, most: int) -> None:
        """Pass over ``count`` strings, each of at most ``most`` bytes.

        This is where an insert spends its time, hence the inner loop over the buffer: it
        takes the strings shorter than 128 bytes that are wholly there.
        """
        while count:
            buffer, at = self._buffer, self._at
            end = len(buffer)
            while count and at < end:
                length = buffer[at]
                after = at + length + 1
                if length > 127 or after > end:
                    break
                at = after
                count -= 1
            self._at = at
            if count:
                length = self.varint()
                if length > most:
                    raise MalformedPacket(f"a value of {length} bytes, more than {most}")
                self.skip(length)
                count -= 1

    def _need(self, count: int) -> None:
        missing = count - (len(self._buffer) - self._at)
        if missing <= 0:
            return
        self._hand_on()
        pieces = [self._buffer[self._at :]]
        while missing > 0:
            piece = self._receive(max(missing, CHUNK_BYTES))
            if not piece:
                raise ConnectionEnded
            pieces.append(piece)
            missing -= len(piece)
        self._buffer = b"".join(pieces)
        self._at = self._copied_to = 0

    def _hand_on(self) -> None:
        if self._sink is not None and self._at > self._copied_to:
            self._sink(self._buffer[self._copied_to : self._at])
        self._copied_to = self._at
