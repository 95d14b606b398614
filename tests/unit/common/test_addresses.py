"""Addresses in settings."""

from __future__ import annotations

import pytest

from services.common.grpc import split_address


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:5001", ("127.0.0.1", 5001)), ("[::1]:9060", ("::1", 9060)), ("a:0", ("a", 0))],
)
def test_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address


@pytest.mark.parametrize("text", ["", "foo", "foo:", "foo:sip", "foo:-1", "foo:²"])
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no address: host:port"):
        split_address(text)
