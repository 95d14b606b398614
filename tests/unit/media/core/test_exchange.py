"""The vocabulary of a session."""

from services.media.core.exchange import Side


def test_sides_face_each_other() -> None:
    assert Side.CALLER.other is Side.CALLEE
    assert Side.CALLEE.other is Side.CALLER
