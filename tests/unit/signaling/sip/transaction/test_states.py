from services.signaling.sip.transaction.states import State


def test_the_states_are_those_of_the_figures() -> None:
    assert {state.name for state in State} == {
        "CALLING",
        "TRYING",
        "PROCEEDING",
        "ACCEPTED",
        "COMPLETED",
        "CONFIRMED",
        "TERMINATED",
    }
