import socket

import pytest

from services.api.server import _listen


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        address = f"127.0.0.1:{somebody.getsockname()[1]}"
        with pytest.raises(OSError, match=f"Address already in use: http {address}"):
            _listen(address)
