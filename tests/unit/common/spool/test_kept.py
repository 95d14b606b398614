from services.common.spool.kept import CARRIED_AT_ONCE, SPARE_SEGMENTS, KeptBook, Place
from services.common.spool.records import encode_event, encode_gone, encode_kept, scan
from services.common.spool.segments import SEGMENT_BYTES


def test_the_last_record_of_a_key_counts_and_keeps_its_segment() -> None:
    book = KeptBook()
    book.stored("a", Place(1, 0, 100))
    book.stored("b", Place(1, 100, 150))
    book.stored("a", Place(2, 0, 80))
    assert (len(book), book.size_bytes) == (2, 130)
    assert (book.is_needed(1), book.is_needed(2)) == (True, True)
    book.gone("b")
    book.gone("never kept")
    assert (book.is_needed(1), book.is_needed(2)) == (False, True)


def test_frames_of_a_commit_lie_one_after_the_other() -> None:
    book = KeptBook()
    book.stored("b", Place(1, 0, 10))
    book.written({"a": (b"x" * 7, False), "b": (b"y" * 5, True), "c": (b"z" * 3, False)}, 2, 100)
    assert (len(book), book.size_bytes) == (2, 10)
    assert not book.is_needed(1)
    assert book.carried([("c", Place(2, 112, 115)), ("a", Place(2, 100, 107))], 3, 50) == 60
    assert not book.is_needed(2)


def test_after_a_crash_every_key_has_its_last_state() -> None:
    segments = [
        (1, scan(encode_kept(5, 1, b"a", b"old") + encode_kept(5, 2, b"b", b"two")).records),
        (2, scan(encode_event(5, 1, b"s", b"{}") + encode_kept(5, 3, b"a", b"new")).records),
        (3, scan(encode_kept(5, 4, b"c", b"three") + encode_gone(5, 5, b"c")).records),
    ]
    book = KeptBook()
    assert book.recover(segments) == {"a": b"new", "b": b"two"}
    assert [book.is_needed(number) for number in (1, 2, 3)] == [True, True, False]


def test_a_record_carried_on_after_a_newer_one_does_not_count() -> None:
    segments = [
        (1, scan(encode_kept(5, 9, b"a", b"new")).records),
        (2, scan(encode_kept(5, 1, b"a", b"old") + encode_kept(4, 99, b"a", b"older")).records),
    ]
    assert KeptBook().recover(segments) == {"a": b"new"}


def test_binary_state_that_looks_like_a_record_is_none() -> None:
    inner = encode_gone(9, 9, b"a")
    assert KeptBook().recover([(1, scan(encode_kept(5, 1, b"a", inner)).records)]) == {"a": inner}


def test_an_old_segment_is_emptied_once_the_log_is_mostly_dead() -> None:
    book = KeptBook()
    for number in range(CARRIED_AT_ONCE + 1):
        book.stored(f"old{number}", Place(1, number * 10, number * 10 + 10))
    assert book.burden(1, 1 + SPARE_SEGMENTS) == []
    some = book.burden(1, 2 + SPARE_SEGMENTS)
    assert len(some) == CARRIED_AT_ONCE
    assert some[0] == ("old0", Place(1, 0, 10))
    book.stored("large", Place(3, 0, SEGMENT_BYTES))
    assert book.burden(1, 2 + SPARE_SEGMENTS) == []
    assert book.burden(2, 9 + SPARE_SEGMENTS) == []
