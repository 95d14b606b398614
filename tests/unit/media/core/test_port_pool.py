"""Port pairs: even, rested, never twice."""

import pytest

from services.media.core.port_pool import NoRtpPorts, PortPool


def pool(low: int = 12_000, high: int = 12_007, rest_s: float = 2.0) -> PortPool:
    return PortPool(low, high, rest_s=rest_s, shuffle=lambda pairs: pairs.reverse())


def test_pairs_are_even_within_the_range_and_in_shuffled_order() -> None:
    ports = pool()
    assert [ports.take(0.0) for _ in range(ports.size)] == [12_006, 12_004, 12_002, 12_000]


@pytest.mark.parametrize(
    "low, high, pairs", [(12_000, 12_001, 1), (12_001, 12_004, 1), (12_000, 12_002, 1)]
)
def test_both_ports_of_a_pair_are_in_the_range(low: int, high: int, pairs: int) -> None:
    assert pool(low, high).size == pairs


def test_exhaustion() -> None:
    ports = pool()
    for _ in range(4):
        ports.take(0.0)
    with pytest.raises(NoRtpPorts):
        ports.take(0.0)


def test_a_port_given_back_rests() -> None:
    ports = pool(12_000, 12_001)
    ports.give_back(ports.take(0.0), 10.0)
    with pytest.raises(NoRtpPorts):
        ports.take(11.9)
    assert ports.take(12.0) == 12_000


def test_the_longest_rested_comes_first() -> None:
    ports = pool()
    taken = [ports.take(0.0) for _ in range(4)]
    for port in taken:
        ports.give_back(port, 0.0)
    assert ports.free == 4
    assert [ports.take(9.0) for _ in range(4)] == taken


def test_what_an_earlier_process_uses_is_not_handed_out_until_it_is_given_back() -> None:
    ports = pool()
    ports.claim([12_006, 12_000, 20_000])
    assert ports.free == 2
    assert [ports.take(0.0), ports.take(0.0)] == [12_004, 12_002]
    ports.give_back(12_006, 5.0)
    ports.give_back(20_000, 5.0)  # of the range that was configured before
    assert ports.take(7.0) == 12_006
    assert ports.free == 0
