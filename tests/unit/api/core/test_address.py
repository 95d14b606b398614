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
