import pytest

from services.api.core.text import many_lines, one_line, plain_json


@pytest.mark.parametrize("bad", ["\r", "\n", "\x00", "\x1b", "\x7f", "\x85", "\u2028"])
def test_one_line_has_no_controls(bad: str) -> None:
    with pytest.raises(ValueError, match="control"):
        one_line(f"a{bad}b")
    with pytest.raises(ValueError, match="control"):
        plain_json({"a": [{"b": f"x{bad}"}]})
    with pytest.raises(ValueError, match="control"):
        plain_json({f"a{bad}": 1})


def test_many_lines_may_have_line_ends() -> None:
    assert many_lines("a,b\r\n1,\t2\n") == "a,b\r\n1,\t2\n"
    with pytest.raises(ValueError, match="control"):
        many_lines("a\x00")


def test_good_text_passes_unchanged() -> None:
    assert one_line("Téléphone ☎") == "Téléphone ☎"
    assert plain_json({"a": [1, None, "b"]}) == {"a": [1, None, "b"]}
