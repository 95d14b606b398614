"""Addresses in settings."""

from __future__ import annotations

import pytest

from services.common.addresses import (
    each_of,
    host_port,
    or_empty,
    service_address,
    split_address,
    url,
)


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


@pytest.mark.parametrize("text", ["127.0.0.1:5001", "[::1]:9060", "svc-0.svc.ns:0", "unix:/run/x"])
def test_where_a_service_is(text: str) -> None:
    assert service_address(text) == text


@pytest.mark.parametrize("text", ["", "::1:9060", "h:70000", "h :1", ":1", "unix:run", "h:²"])
def test_where_no_service_can_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be host:port, an IPv6 host in brackets, or unix:"):
        service_address(text)


def test_lists_and_what_may_be_empty() -> None:
    assert each_of(host_port)(" a:1, b:2 ,") == " a:1, b:2 ,"
    assert or_empty(host_port)("") == ""
    with pytest.raises(ValueError, match="must be host:port"):
        each_of(host_port)("a:1,b")
    with pytest.raises(ValueError, match=r"http:// or https://"):
        url("http", "https")("http:/x")
