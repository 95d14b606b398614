"""What the media service is told by its environment."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, Field

from services.common.addresses import each_of
from services.common.settings import ServiceAddress, ServiceSettings, Wrong


def _rtp(text: str) -> str:
    families = [ip_address(host).version for host, _, _ in parse_ranges(text)]
    if len(set(families)) != len(families):
        raise ValueError("must have one range per address family")
    return text


def _told(text: str) -> str:
    try:
        if not ip_address(text).is_unspecified:
            return text
    except ValueError:
        pass
    raise ValueError("must be IP addresses that peers can write to, separated by commas")


class MediaSettings(ServiceSettings):
    """Settings of one media process."""

    grpc_address: ServiceAddress = "127.0.0.1:5004"
    rtp: Annotated[str, AfterValidator(_rtp)] = "127.0.0.1:12000-15000"
    """Where audio is relayed: ``host:low-high``, an IPv6 host in brackets; a second one of the
    other family may follow after a comma. Each call takes two pairs of ports."""
    rtp_advertised: Annotated[str, AfterValidator(each_of(_told))] = ""
    """Addresses told to peers in place of those of ``rtp``, comma-separated, in its order."""
    rtp_workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Relay processes; one carries some 1,500 calls on a current core."""
    rtp_rest_s: Annotated[float, Field(ge=0.0)] = 0.5
    """How long a port rests between two calls."""
    rtp_dscp: Annotated[int, Field(ge=0, le=63)] = 46
    """Class of service in the packets we send: EF, as RFC 4594 says for voice; 0 = none."""
    rtp_learn_any: bool = False
    """Whether a peer whose described address cannot be real (a private one, sent from outside)
    may send from an address that signaling never named. Needed for some customers behind NAT
    whose audio leaves by another address than their SIP; a stranger can win such a call."""
    orphan_s: Annotated[float, Field(gt=0)] = 300.0
    """A call without packets whose signaling is gone ends after this long."""
    orphan_held_s: Annotated[float, Field(gt=0)] = 7200.0
    """The same for a call on hold, which may be silent rightly."""

    def contradictions(self) -> Iterator[Wrong]:
        """See :class:`ServiceSettings`."""
        told = [each.strip() for each in self.rtp_advertised.split(",") if each.strip()]
        hosts = [host for host, _, _ in parse_ranges(self.rtp)]
        if len(told) > len(hosts):
            reason = f"has {len(told)} addresses for the {len(hosts)} ranges of TANDEM_RTP"
            yield Wrong("rtp_advertised", reason, ("rtp",))
        # Told to a peer, the null address would put it on hold.
        if any(ip_address(host).is_unspecified for host in hosts[len(told) :]):
            reason = "must say what peers are told for the wildcard in TANDEM_RTP"
            yield Wrong("rtp_advertised", reason, ("rtp",))


def parse_ranges(text: str) -> list[tuple[str, int, int]]:
    """``host:low-high,...`` taken apart.

    Raises:
        ValueError: it is not of that form, or a range holds no pair of ports.
    """
    ranges = []
    for each in text.split(","):
        host, _, ports = each.strip().rpartition(":")
        low, _, high = ports.partition("-")
        try:
            first, last, address = int(low), int(high), ip_address(host.strip("[]"))
        except ValueError:
            raise ValueError("must be address:low-high, an IPv6 address in brackets") from None
        if not 1_024 <= first < last <= 65_535:
            raise ValueError("must have ports low-high within 1024-65535")
        ranges.append((str(address), first, last))
    return ranges
