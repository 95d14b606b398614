import pytest

from services.api.core.target import Target, choose, is_public, parse_target


def test_url_is_taken_apart() -> None:
    target = parse_target("https://Hooks.Example.net/a?b=c")
    assert target == Target("https", "hooks.example.net", 443, "/a?b=c")
    assert target.authority == "hooks.example.net"
    assert target.at("192.0.2.1") == "https://192.0.2.1:443/a?b=c"
    assert target.at("2001:db8::1") == "https://[2001:db8::1]:443/a?b=c"
    assert parse_target("http://[::1]:8080").authority == "[::1]:8080"


@pytest.mark.parametrize(
    "url",
    ["", "ftp://a/", "//a/", "http://", "http://u:p@a/", "http://a/#f", "http://a/\r\nx",
     "http://a/ b", "http://é/", "http://a:99999/", "http://a/" + "x" * 2000, "javascript:1"],
)  # fmt: skip
def test_no_url_of_an_endpoint(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_target(url)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "64:ff9b::808:808"])
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0", "100.64.0.1",
     "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1",
     "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"],
)  # fmt: skip
def test_not_public_also_when_wrapped(address: str) -> None:
    assert not is_public(address)


def test_one_private_address_spoils_the_name() -> None:
    assert choose(["8.8.8.8", "8.8.4.4"], allow_private=False) == "8.8.8.8"
    assert choose(["8.8.8.8", "127.0.0.1"], allow_private=False) is None
    assert choose(["127.0.0.1"], allow_private=True) == "127.0.0.1"
    assert choose([], allow_private=True) is None
