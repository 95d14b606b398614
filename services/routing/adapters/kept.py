"""The configuration on the disk, for a start without Postgres.

Implements :class:`services.common.last_known.Keeper`: what is small is the payload, and each
rate table is a file beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from services.common.last_known import Unusable, shape_of
from services.routing.adapters.deck_files import DeckFiles
from services.routing.adapters.postgres import STATEMENTS, Loaded, PostgresConfiguration, Rows
from services.routing.core.snapshot import Snapshot


class _Payload(msgspec.Struct, frozen=True):
    rows: Rows
    tables: dict[str, str]
    """The file of each deck."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Payload).decode


class KeptConfiguration:
    """See the module docstring."""

    shape = shape_of(*STATEMENTS)

    def __init__(
        self,
        folder: Path,
        configuration: PostgresConfiguration,
        begin_with: Callable[[Snapshot], None],
    ) -> None:
        self._files = DeckFiles(folder)
        self._configuration = configuration
        self._begin_with = begin_with

    def write(self) -> bytes:
        """See :meth:`services.common.last_known.Keeper.write`."""
        loaded = self._configuration.loaded
        return _encode(_Payload(loaded.rows, self._files.write(loaded.tables)))

    def sweep(self) -> None:
        """See :meth:`services.common.last_known.Keeper.sweep`."""
        self._files.sweep()

    def read(self, payload: bytes) -> Callable[[], None]:
        """See :meth:`services.common.last_known.Keeper.read`."""
        try:
            kept = _decode(payload)
        except msgspec.DecodeError as error:
            raise Unusable(str(error)) from error
        tables = {deck_id: self._files.read(name) for deck_id, name in kept.tables.items()}
        snapshot = self._configuration.assemble(Loaded(kept.rows, tables), None)
        return partial(self._begin_with, snapshot)
