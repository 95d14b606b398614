"""Who can win a port, and who cannot."""

from services.media.core.latch import ANY_AFTER_PACKETS, Expectation, Latch, Rank

PEER = ("192.0.2.1", 4000)
OTHER_PORT = ("192.0.2.1", 4444)
SIP_HOST = ("198.51.100.1", 9000)
STRANGER = ("203.0.113.66", 4000)
EXPECTED = Expectation("192.0.2.1", 4000, "198.51.100.1")


def test_sources_are_ranked_by_what_signaling_said() -> None:
    assert EXPECTED.rank(PEER) is Rank.EXACT
    assert EXPECTED.rank(OTHER_PORT) is Rank.HOST
    assert EXPECTED.rank(SIP_HOST) is Rank.SOURCE
    assert EXPECTED.rank(STRANGER) is Rank.NONE


def test_stranger_never_wins_however_early_or_often() -> None:
    latch = Latch(EXPECTED)
    assert not any(latch.admit(STRANGER) for _ in range(1000))
    assert latch.admit(PEER)
    assert not any(latch.admit(STRANGER) for _ in range(1000))
    assert latch.source == PEER


def test_nobody_is_admitted_before_signaling_spoke() -> None:
    assert not Latch(None).admit(PEER)


def test_exact_source_is_final() -> None:
    latch = Latch(EXPECTED)
    assert latch.admit(PEER)
    assert not latch.admit(OTHER_PORT)
    assert not latch.admit(SIP_HOST)
    assert latch.admit(PEER)


def test_better_source_takes_the_port_back() -> None:
    latch = Latch(EXPECTED)
    for source, rank in ((SIP_HOST, Rank.SOURCE), (OTHER_PORT, Rank.HOST), (PEER, Rank.EXACT)):
        assert latch.admit(source)
        assert latch.rank is rank
    assert not latch.admit(SIP_HOST)


def test_equal_source_does_not_take_over() -> None:
    latch = Latch(EXPECTED)
    assert latch.admit(SIP_HOST)
    assert not latch.admit(("198.51.100.1", 9002))


def test_unknown_source_needs_leave_and_patience() -> None:
    latch = Latch(Expectation("10.0.0.1", 4000, "198.51.100.1", learn_any=True))
    heard = [latch.admit(STRANGER) for _ in range(ANY_AFTER_PACKETS)]
    assert heard == [False] * (ANY_AFTER_PACKETS - 1) + [True]
    assert not any(latch.admit(("203.0.113.67", 1)) for _ in range(50))
    assert latch.admit(SIP_HOST), "a known source takes the port back"
    assert not latch.admit(STRANGER)


def test_unknown_sources_that_alternate_do_not_become_credible() -> None:
    latch = Latch(Expectation("10.0.0.1", 4000, learn_any=True))
    sources = [("203.0.113.66", 1), ("203.0.113.67", 1)]
    assert not any(latch.admit(sources[count % 2]) for count in range(50))


def test_new_description_starts_over() -> None:
    latch = Latch(EXPECTED)
    latch.admit(PEER)
    latch.expect(Expectation("192.0.2.7", 5000))
    assert latch.rank is Rank.NONE
    assert not latch.admit(PEER)
    assert latch.admit(("192.0.2.7", 5000))


def test_same_description_keeps_an_exact_latch_and_reopens_a_learned_one() -> None:
    exact, learned = Latch(EXPECTED), Latch(EXPECTED)
    exact.admit(PEER)
    learned.admit(SIP_HOST)
    exact.expect(EXPECTED)
    learned.expect(EXPECTED)
    assert exact.source == PEER
    assert learned.source is None, "a NAT may have moved the peer to another port"
    assert learned.admit(("198.51.100.1", 9002))


def test_source_of_an_earlier_process_is_taken_up_by_the_same_rules() -> None:
    for source, rank in ((PEER, Rank.EXACT), (OTHER_PORT, Rank.HOST), (SIP_HOST, Rank.SOURCE)):
        latch = Latch(EXPECTED)
        latch.resume(source)
        assert (latch.source, latch.rank) == (source, rank)
        assert not latch.admit(STRANGER)
        assert latch.admit(PEER)


def test_source_that_fits_no_more_is_not_taken_up() -> None:
    latch = Latch(EXPECTED)
    latch.resume(STRANGER)
    assert (latch.source, latch.rank) == (None, Rank.NONE)
    latch.admit(PEER)
    latch.resume(SIP_HOST)
    assert latch.source == PEER
    unknown = Latch(None)
    unknown.resume(PEER)
    assert unknown.source is None


def test_source_that_had_won_without_being_named_keeps_its_place() -> None:
    latch = Latch(Expectation("10.0.0.1", 4000, "198.51.100.1", learn_any=True))
    latch.resume(STRANGER)
    assert (latch.source, latch.rank) == (STRANGER, Rank.ANY)
