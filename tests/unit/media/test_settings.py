"""Where audio is relayed, as the environment says it."""

import pytest

from services.common.settings import InvalidSettings
from services.media.core.sdp import Family
from services.media.server import interfaces_of
from services.media.settings import MediaSettings, parse_ranges


def test_ranges() -> None:
    assert parse_ranges("127.0.0.1:12000-15000, [2001:DB8::1]:2000-3000") == [
        ("127.0.0.1", 12000, 15000),
        ("2001:db8::1", 2000, 3000),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1", "127.0.0.1:12000", "127.0.0.1:9-20", "127.0.0.1:5000-5000", "host:5000-6000",
     "127.0.0.1:5000-70000", "127.0.0.1:2000-3000,127.0.0.2:2000-3000"],
)  # fmt: skip
def test_unusable_ranges_are_refused(text: str) -> None:
    with pytest.raises(InvalidSettings):
        MediaSettings.model_validate({"rtp": text})


def test_advertised_addresses_follow_the_order_of_the_ranges() -> None:
    settings = MediaSettings.model_validate(
        {"rtp": "10.0.0.1:2000-3000,[::1]:2000-3000", "rtp_advertised": "203.0.113.1"}
    )
    first, second = interfaces_of(settings)
    assert (first.family, first.host, first.advertised) == (Family.IP4, "10.0.0.1", "203.0.113.1")
    assert (second.family, second.advertised) == (Family.IP6, "::1")


@pytest.mark.parametrize("advertised", ["", "0.0.0.0", "192.0.2.1,192.0.2.2", "a.name"])
def test_unusable_advertised_addresses_are_refused(advertised: str) -> None:
    with pytest.raises(InvalidSettings):
        MediaSettings.model_validate({"rtp": "0.0.0.0:2000-3000", "rtp_advertised": advertised})


def test_wildcard_with_an_advertised_address() -> None:
    settings = MediaSettings.model_validate(
        {"rtp": "0.0.0.0:2000-3000", "rtp_advertised": "192.0.2.1"}
    )
    (interface,) = interfaces_of(settings)
    assert (interface.host, interface.advertised) == ("0.0.0.0", "192.0.2.1")
