"""Light registration probing."""

from services.signaling.core.probes import NEVER, Probes


def test_a_contact_is_asked_again_and_again() -> None:
    probes = Probes()
    assert probes.deadline == NEVER
    probes.watch("b1", "alice", 30.0, 100.0)
    assert probes.deadline == 130.0
    assert probes.due(129.9) == []
    assert probes.due(130.0) == [("alice", "b1")]
    assert probes.deadline == 160.0


def test_three_in_a_row_without_answer_and_it_is_gone() -> None:
    probes = Probes()
    probes.watch("b1", "alice", 30.0, 100.0)
    assert [probes.missed("b1"), probes.missed("b1")] == [False, False]
    probes.answered("b1")
    assert [probes.missed("b1") for _ in range(3)] == [False, False, True]
    assert not probes.missed("b1")
    probes.answered("b1")
    assert probes.due(1000.0) == []


def test_a_refresh_is_a_sign_of_life() -> None:
    probes = Probes()
    probes.watch("b1", "alice", 30.0, 100.0)
    probes.missed("b1")
    probes.missed("b1")
    probes.watch("b1", "alice", 30.0, 110.0)
    assert not probes.missed("b1")
    assert probes.due(130.0) == [("alice", "b1")]


def test_forgotten_and_switched_off() -> None:
    probes = Probes()
    probes.watch("b1", "alice", 30.0, 100.0)
    probes.watch("b1", "alice", 0.0, 100.0)
    assert probes.due(1000.0) == []
    probes.watch("b1", "alice", 30.0, 1000.0)
    assert probes.due(1030.0) == [("alice", "b1")]
    probes.forget("b1")
    probes.forget("b1")
    assert probes.due(9999.0) == []
