from services.common.spool.batches import MOST_BYTES, MOST_EVENTS, BatchBook
from services.common.spool.records import encode_acked, encode_event, scan


def test_events_of_one_subject_share_a_batch_until_it_closes() -> None:
    book = BatchBook(5)
    first = book.assign("calls.ended", 10, 100.0)
    assert book.assign("calls.ended", 10, 100.02) is first
    other = book.assign("calls.progress", 10, 100.01)
    assert other is not first
    assert book.close_older(100.0) == [first]
    assert book.assign("calls.ended", 10, 100.04).key == (5, 3)
    assert book.oldest_open_at() == 100.01


def test_batch_is_complete_once_closed_and_every_event_decided() -> None:
    book = BatchBook(1)
    batch = book.assign("s", 10, 0.0)
    book.assign("s", 10, 0.0)
    book.stored(batch, 1, 0, 40)
    book.close(batch)
    seen = [batch.is_complete]
    book.given_up(batch, 10)
    seen.append(batch.is_complete)
    assert seen == [False, True]
    assert (batch.count, batch.size_bytes) == (1, 10)


def test_batch_closes_when_full() -> None:
    book = BatchBook(1)
    batch = book.assign("s", 1, 0.0)
    for _ in range(MOST_EVENTS - 1):
        assert not batch.is_closed
        assert book.assign("s", 1, 0.0) is batch
    assert batch.is_closed
    assert book.assign("s", 1, 0.0) is not batch


def test_large_event_goes_into_a_batch_of_its_own() -> None:
    book = BatchBook(1)
    small = book.assign("s", 10, 0.0)
    large = book.assign("s", MOST_BYTES, 0.0)
    assert large is not small
    assert small.is_closed


def test_segment_is_free_when_its_last_batch_is_forgotten() -> None:
    book = BatchBook(1)
    one, two = book.assign("a", 1, 0.0), book.assign("b", 1, 0.0)
    book.stored(one, 7, 0, 30)
    book.stored(two, 7, 30, 60)
    book.assign("a", 1, 0.0)
    book.stored(one, 8, 0, 30)
    assert [(span.segment, span.start, span.end) for span in one.spans] == [(7, 0, 30), (8, 0, 30)]
    assert book.forget(one) == [8]
    assert book.is_needed(7)
    assert book.forget(two) == [7]
    assert not book.backlog


def test_recovery_puts_batches_together_as_they_were() -> None:
    segments = [
        (1, scan(encode_event(4, 1, b"a", b"1") + encode_event(4, 2, b"b", b"x")).records),
        (2, scan(encode_event(4, 1, b"a", b"2") + encode_acked(4, 2)).records),
        (3, scan(encode_event(5, 1, b"a", b"3")).records),
    ]
    book = BatchBook(6)
    left = book.recover(segments)
    assert [(batch.key, batch.subject, batch.count) for batch in left] == [
        ((4, 1), "a", 2),
        ((5, 1), "a", 1),
    ]
    assert all(batch.is_complete and batch.events is None for batch in left)
    assert book.forget(left[0]) == [1, 2]
    assert book.is_needed(3)


def test_recovered_batch_keeps_its_number_and_new_ones_get_others() -> None:
    book = BatchBook(6)
    [old] = book.recover([(1, scan(encode_event(5, 1, b"a", b"1")).records)])
    assert old.key == (5, 1)
    assert book.assign("a", 1, 0.0).key == (6, 1)
