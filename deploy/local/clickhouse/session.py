"""One client's connection, from its hello to its end."""

import hmac
import select
import socket
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass, field

from deploy.local.clickhouse import blocks, packets, statements
from deploy.local.clickhouse.engine import Engine, EngineConnection, Insertion
from deploy.local.clickhouse.errors import ConnectionEnded, EngineRefused, MalformedPacket
from deploy.local.clickhouse.packets import FromClient
from deploy.local.clickhouse.statements import Insert
from deploy.local.clickhouse.wire import CHUNK_BYTES, WireReader

HELLO_TIMEOUT_S = 10.0
"""A peer that has not said who it is by then is dropped."""

TRANSFER_TIMEOUT_S = 300.0
"""A peer that neither sends nor reads for so long in the middle of something is dropped."""

_AUTHENTICATION_FAILED = 516
_NOT_IMPLEMENTED = 48
_UNEXPECTED_PACKET = 101
_CLIENT_TOO_OLD = 99


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one user there is."""

    user: str
    password: str = field(repr=False)

    def admit(self, hello: packets.Hello) -> bool:
        """Whether ``hello`` carries this user's password."""
        is_user = hmac.compare_digest(hello.user.encode(), self.user.encode())
        is_password = hmac.compare_digest(hello.password.encode(), self.password.encode())
        return is_user and is_password


class Session:
    """Reads packets, has the engine act on them and answers, until either side ends it."""

    def __init__(self, peer: socket.socket, engine: Engine, credentials: Credentials) -> None:
        self._peer = peer
        self._engine = engine
        self._credentials = credentials
        self._reader = WireReader(self._receive)

    def serve(self) -> None:
        """Serve the peer until it goes away or sends something unreadable."""
        try:
            self._peer.settimeout(HELLO_TIMEOUT_S)
            self._serve()
        except MalformedPacket as malformed:
            self._say_goodbye(EngineRefused(_UNEXPECTED_PACKET, malformed.reason))
        except (ConnectionEnded, OSError):
            pass  # its transactions end with it: an insert not finished is dropped

    def _serve(self) -> None:
        hello = self._greet()
        connection = self._engine.connect()
        try:
            if hello.database:
                connection.use(hello.database)
            self._peer.sendall(packets.hello(self._engine.version()))
            while True:
                self._serve_packet(connection)
        except EngineRefused as refused:  # no such database
            self._peer.sendall(packets.exception(refused))
        finally:
            connection.close()

    def _greet(self) -> packets.Hello:
        if self._reader.varint() != FromClient.HELLO:
            raise MalformedPacket("a connection starts with a hello")
        hello = packets.read_hello(self._reader)
        if hello.revision < packets.REVISION:
            self._say_goodbye(EngineRefused(_CLIENT_TOO_OLD, "the client is too old"))
            raise ConnectionEnded
        if not self._credentials.admit(hello):
            message = f"{hello.user[:64]}: Authentication failed: password is incorrect."
            self._say_goodbye(EngineRefused(_AUTHENTICATION_FAILED, message))
            raise ConnectionEnded
        return hello

    def _serve_packet(self, connection: EngineConnection) -> None:
        if not self._reader.buffered:
            self._peer.settimeout(None)  # an idle client may stay
            self._reader.fill()
        self._peer.settimeout(TRANSFER_TIMEOUT_S)
        match self._reader.varint():
            case FromClient.PING:
                self._peer.sendall(packets.PONG)
            case FromClient.CANCEL:
                pass  # what it meant to cancel is over
            case FromClient.QUERY:
                self._serve_query(connection)
            case other:
                raise MalformedPacket(f"packet {other} where a query may begin")

    def _serve_query(self, connection: EngineConnection) -> None:
        query = packets.read_query(self._reader)
        if query.is_compressed:
            # Its blocks cannot be measured, so there is no way to go on after them either.
            raise MalformedPacket("compression is not available: connect without it")
        try:
            self._skip_external_tables()
            connection.apply(query.settings)
            self._answer(connection, query.text)
        except EngineRefused as refused:
            self._peer.sendall(packets.exception(refused))
        finally:
            connection.reset(query.settings)

    def _skip_external_tables(self) -> None:
        seen = 0
        while not self._read_block().is_end:
            seen += 1
        if seen:
            raise EngineRefused(_NOT_IMPLEMENTED, "DB::Exception: no external tables here")

    def _answer(self, connection: EngineConnection, text: str) -> None:
        insert = statements.insert_of(text)
        if insert is not None:
            self._insert(connection, insert)
        else:
            self._select(connection.rows(text))
        self._peer.sendall(packets.END_OF_STREAM)

    def _select(self, rows: Generator[bytes, None, None]) -> None:
        with closing(rows):  # which cancels the statement, if it is not at its end
            for block in rows:
                self._peer.sendall(packets.data(block))
                if self._is_cancelled():
                    return

    def _is_cancelled(self) -> bool:
        """Whether the peer asked, while rows were on their way to it, for no more of them."""
        if not self._reader.buffered and not select.select([self._peer], [], [], 0)[0]:
            return False
        if (packet := self._reader.varint()) != FromClient.CANCEL:
            raise MalformedPacket(f"packet {packet} in the middle of a result")
        return True

    def _insert(self, connection: EngineConnection, insert: Insert) -> None:
        with connection.insert(insert) as insertion:
            self._peer.sendall(packets.data(insertion.sample))
            self._pass_on(insertion)
            insertion.finish()

    def _pass_on(self, insertion: Insertion) -> None:
        """Hand the peer's blocks to the engine as they come in."""
        funnel = _Funnel(insertion)
        while not self._read_block(funnel).is_end:
            funnel.flush()
        if funnel.refused is not None:
            raise funnel.refused

    def _read_block(self, sink: Callable[[bytes], None] | None = None) -> blocks.Extent:
        if (packet := self._reader.varint()) == FromClient.CANCEL:
            raise ConnectionEnded
        if packet != FromClient.DATA:
            raise MalformedPacket(f"packet {packet} where data was due")
        packets.read_data_header(self._reader)
        self._reader.copy_to(sink)
        try:
            return blocks.walk(self._reader)
        finally:
            self._reader.copy_to(None)

    def _receive(self, most: int) -> bytes:
        return self._peer.recv(most)

    def _say_goodbye(self, refused: EngineRefused) -> None:
        with suppress(OSError):  # the peer may be gone already
            self._peer.sendall(packets.exception(refused))


class _Funnel:
    """Gathers pieces of a block for the engine, and little of it at a time.

    Once the engine has refused one, the rest is read all the same: the peer listens only after
    its last block.
    """

    def __init__(self, insertion: Insertion) -> None:
        self._insertion = insertion
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self.refused: EngineRefused | None = None

    def __call__(self, piece: bytes) -> None:
        """Take the next piece. What is left unflushed, like the last, empty block, is dropped."""
        self._pieces.append(piece)
        self._size_bytes += len(piece)
        if self._size_bytes >= CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand on what was gathered."""
        gathered = b"".join(self._pieces)
        self._pieces.clear()
        self._size_bytes = 0
        if self.refused is None:
            try:
                self._insertion.append(gathered)
            except EngineRefused as refused:
                self.refused = refused
