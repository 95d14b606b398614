import pytest

from services.api.core.problems import Problem, Rejected


@pytest.mark.parametrize(
    ("where", "pointer"),
    [
        ("", ""),
        ("name", "/name"),
        ("customer_trunks[0].account", "/customer_trunks/0/account"),
        ("rates[3].Rate/min", "/rates/3/Rate~1min"),
        ("a~b", "/a~0b"),
    ],
)
def test_pointer(where: str, pointer: str) -> None:
    assert Problem(where, "is wrong").pointer == pointer


def test_rejection_tells_everything() -> None:
    error = Rejected([Problem("a", "is missing"), Problem("b", "is odd")])
    assert str(error) == "a: is missing; b: is odd"
