import pytest

from services.common.errors import Invalid
from services.common.sip_options.timeouts import VendorTimeouts
from services.common.sip_options.trunk import (
    CustomerSip,
    VendorSip,
    inlined_schema,
    plain,
    read_options,
)


def test_options_left_out_have_their_defaults_and_are_not_written() -> None:
    options = read_options(VendorSip, {"timeouts": {"progress_ms": 5000}})
    assert options.timeouts == VendorTimeouts(progress_ms=5000)
    assert plain(options) == {"timeouts": {"progress_ms": 5000}}
    assert plain(read_options(VendorSip, {"timeouts": {"progress_ms": 0}})) == {}
    assert read_options(CustomerSip, {}) == CustomerSip()


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"timeouts": {"progress_ms": -1}}, "sip.timeouts.progress_ms"),
        ({"timeouts": {"progress_ms": "5"}}, "sip.timeouts.progress_ms"),
        ({"timeouts": {"progres_ms": 1}}, "sip.timeouts.progres_ms"),
        ({"unknown": {}}, "sip.unknown"),
        ({"tls": {"server_name": "a b"}}, "sip.tls.server_name"),
        ({"tls": {"server_name": "a\r\nb"}}, "sip.tls.server_name"),
        ({"tls": {"least_version": "1.1"}}, "sip.tls.least_version"),
        ({"nat": {"reply_to": "contact"}}, "sip.nat.reply_to"),
        ({"nat": {"request_to": "via"}}, "sip.nat.request_to"),
        ({"keepalive": {"crlf_s": 3601}}, "sip.keepalive.crlf_s"),
        ({"transport": {"oversize": "tls"}}, "sip.transport.oversize"),
        ({"transports": ["udp"]}, "sip.transports"),
        ({"auth": {"username": "a\r\nRoute: <sip:evil>"}}, "sip.auth.username"),
        ({"auth": {"password": 7}}, "sip.auth.password"),
        ({"auth": {"weakest": "SHA-1"}}, "sip.auth.weakest"),
        ({"register": {"enabled": True}}, "sip.register.enabled"),
        ({"register": {"contact_user": "a@b"}}, "sip.register.contact_user"),
        ({"register": {"expires_s": "never"}}, "sip.register.expires_s"),
        ([], "sip"),
    ],
)
def test_what_makes_no_sense_is_named(value: object, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_options(VendorSip, value)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("value", "field", "said"),
    [
        (
            {"codes": {"treat_as": {"abc": 486}}},
            "sip.codes.treat_as",
            "'abc' must be a SIP status from 300",
        ),
        ({"nat": {"reply_to": "me"}}, "sip.nat.reply_to", "must be one of auto, source, "),
        ({"identity": {"host": "a:65536"}}, "sip.identity.host", "must be HOST or HOST:PORT"),
    ],
)
def test_a_wrong_value_is_told_what_it_could_be(value: object, field: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_options(VendorSip, value)
    assert refused.value.field == field
    assert said in refused.value.reason
    assert "at `" not in refused.value.reason


def test_a_wrong_value_in_a_list_is_told_what_it_could_be() -> None:
    with pytest.raises(Invalid, match="one of tcp, tls, udp, ws, wss"):
        read_options(CustomerSip, {"transports": ["sctp"]})


def test_every_port_there_is() -> None:
    for port in (1, 9999, 65499, 65506, 65509, 65535):
        host = f"sip.example:{port}"
        assert read_options(VendorSip, {"identity": {"host": host}}).identity.host == host


def test_a_customer_s_transports() -> None:
    options = read_options(CustomerSip, {"transports": ["tls", "wss"]})
    assert options.transports == ("tls", "wss")
    assert plain(options) == {"transports": ["tls", "wss"]}
    with pytest.raises(Invalid) as refused:
        read_options(CustomerSip, {"transports": ["sctp"]})
    assert refused.value.field.startswith("sip.transports")


def test_the_schema_stands_alone() -> None:
    schema = inlined_schema(VendorSip)
    assert "$ref" not in str(schema)
    progress = schema["properties"]["timeouts"]["properties"]["progress_ms"]
    assert (progress["minimum"], progress["maximum"]) == (0, 600_000)


@pytest.mark.parametrize(
    "server",
    [
        "",
        "sip:192.0.2.5",
        "sip:router.example:5070;transport=tcp",
        "sip:[2001:db8::1]:5060",
        "sip:192.0.2.5:65535",
        "http://192.0.2.5:8080/routes?x=1",
        "https://router.example/",
    ],
)
def test_routing_servers(server: str) -> None:
    assert read_options(CustomerSip, {"routing": {"server": server}}).routing.server == server


@pytest.mark.parametrize(
    "server",
    [
        "router.example",
        "sips:router.example",
        "sip:user@router.example",
        "sip:router.example;transport=sctp",
        "sip:router.example\r\nX: y",
        "sip:router.example\n",
        "sip:router.example:0",
        "sip:router.example:65536",
        "sip:router.example:99999",
        "ftp://router.example",
        "http://a b",
        "http://router.example/\n",
    ],
)
def test_what_is_no_routing_server(server: str) -> None:
    with pytest.raises(Invalid):
        read_options(CustomerSip, {"routing": {"server": server}})


def test_a_registration_has_a_username() -> None:
    auth = {"username": "a"}
    for expires_s, shown in ((600, {"expires_s": 600}), ("auto", {})):
        value = {"auth": auth, "register": {"enabled": True, "expires_s": expires_s}}
        options = plain(read_options(VendorSip, value))
        assert options == {"auth": auth, "register": {"enabled": True, **shown}}
