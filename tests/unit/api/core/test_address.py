import pytest

from services.api.core.address import host_name, trunk_address


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1:5060 ", "192.0.2.1:5060"),
        ("192.0.2.1:05060", "192.0.2.1:5060"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:5060", "[2001:db8::1]:5060"),
        ("[::ffff:192.0.2.1]:5060", "192.0.2.1:5060"),
    ],
)
def test_one_address_has_one_spelling(text: str, canonical: str) -> None:
    assert trunk_address(text) == canonical
    assert trunk_address(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "example.net", "192.0.2", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:5x",
     "[2001:db8::1", "[2001:db8::1]5060", "fe80::1%eth0", "192.0.2.1:\u0665", "010.0.0.1"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        trunk_address(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Gw.Example.NET", "gw.example.net"),
        ("_sip._udp.example.net.", "_sip._udp.example.net."),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_host_is_a_name_or_an_address(text: str, canonical: str) -> None:
    assert host_name(text) == canonical


@pytest.mark.parametrize(
    "text", ["", "a b", "-a.net", "a..b", "300.1.1.1", "a" * 64, "x;transport=tcp", "a\r\nb"]
)
def test_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        host_name(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("2001:DB8:0::/48", "2001:db8::/48"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("2001:db8::1/128", "2001:db8::1"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
    ],
)
def test_a_network(text: str, canonical: str) -> None:
    assert trunk_address(text) == canonical


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0/0", "192.0.0.0/7", "::/0", "2001::/15", "192.0.2.1/24", "192.0.2.0/33", "x/24",
     "192.0.2.0/24:5060", "192.0.2.0/", "/24", "192.0.2.0/24/24"],
)  # fmt: skip
def test_what_is_no_network_or_too_wide(text: str) -> None:
    with pytest.raises(ValueError, match=r"network|wider"):
        trunk_address(text)


def test_a_vendor_that_is_a_registered_user() -> None:
    assert host_name("registered:Alice.1") == "registered:Alice.1"
    for text in ("registered:", "registered:a b", "registered:" + "a" * 65, "Registered:a"):
        with pytest.raises(ValueError, match=r"username|IP address"):
            host_name(text)
