from services.api.core.rate_sheet import RowError
from services.api.core.rates import MOST_ERRORS, Merged, Tally


def test_errors_are_counted_beyond_those_told() -> None:
    tally = Tally()
    for row in range(MOST_ERRORS + 5):
        tally.refuse(RowError(row, "Rate", "wrong"))
    assert (tally.error_count, len(tally.errors)) == (MOST_ERRORS + 5, MOST_ERRORS)


def test_late_errors_join_the_early_ones() -> None:
    tally = Tally()
    tally.refuse(RowError(2, "Rate", "wrong"))
    tally.absorb(Merged(errors=(RowError(3, "prefix", "twice"),), error_count=7))
    assert (tally.error_count, len(tally.errors)) == (8, 2)


def test_touched() -> None:
    assert not Merged(unchanged=5).touched
    assert Merged(ended=1).touched
    assert Merged(added=1).touched
    assert Merged(changed=1).touched
