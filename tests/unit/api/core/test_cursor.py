import base64
import json

import pytest

from services.api.core.cursor import decode_cursor, encode_cursor
from services.common.errors import Invalid


def test_comes_back() -> None:
    parts = ("2030-01-01T00:00:00Z", "cal_1")
    assert decode_cursor(encode_cursor(parts), size=2) == parts


@pytest.mark.parametrize(
    "text",
    [
        "rubbish",
        "%%%",
        "",
        "a" * 1001,
        encode_cursor(["one"]),
        *(
            base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
            for value in ([1, 2], {"a": 1}, ["a\n", "b"], None)
        ),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_what_we_did_not_make_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(text, size=2)
