from pathlib import Path

import pytest

from services.common.spool.batches import BatchBook
from services.common.spool.records import encode_event
from services.common.spool.segments import FolderInUse, Segments


def test_epoch_grows_at_every_start_and_never_falls_below_what_is_asked(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    assert segments.next_epoch(1000) == 1000
    assert segments.next_epoch(1000) == 1001
    assert segments.next_epoch(5) == 1002
    (tmp_path / "epoch").write_text("rubbish")
    assert segments.next_epoch(2000) == 2000
    segments.close()


def test_folder_belongs_to_one_process(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    with pytest.raises(FolderInUse):
        Segments(tmp_path)
    segments.close()
    Segments(tmp_path).close()


def test_batch_is_read_back_from_between_others(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    book = BatchBook(1)
    wanted = book.assign("a", 1, 0.0)
    for seq, payload in ((1, b"one"), (2, b"stranger"), (1, b"two")):
        frame = encode_event(1, seq, b"a", payload)
        segment, start = segments.append(frame)
        if seq == wanted.seq:
            wanted.store(segment, start, start + len(frame))
    assert segments.read(wanted) == [b"one", b"two"]
    segments.close()


def test_every_start_writes_a_new_file(tmp_path: Path) -> None:
    for _ in range(2):
        segments = Segments(tmp_path)
        segments.append(encode_event(1, 1, b"a", b"x"))
        segments.append(encode_event(1, 1, b"a", b"x"))
        segments.close()
    assert Segments(tmp_path).numbers() == [1, 2]


def test_damaged_segment_is_set_aside_not_deleted(tmp_path: Path) -> None:
    segments = Segments(tmp_path)
    frame = encode_event(1, 1, b"a", b"payload")
    segments.append(frame * 3)
    segments.close()
    path = tmp_path / "000000000001.seg"
    data = bytearray(path.read_bytes())
    data[len(frame) + 20] ^= 1
    path.write_bytes(data)
    segments = Segments(tmp_path)
    [(number, found)] = segments.scan_all()
    assert (len(found.records), found.damaged_bytes) == (2, len(frame))
    segments.drop([number])
    assert segments.numbers() == []
    assert path.with_suffix(".damaged").exists()
    segments.close()
