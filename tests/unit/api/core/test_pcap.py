"""The capture file, taken apart by hand."""

import struct
from ipaddress import ip_address

from services.api.core.pcap import Packet, pcap

AT_US = 1_767_323_045_123_456
BYE = b"BYE sip:x SIP/2.0\r\n\r\n"


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Instants and frames."""
    magic, major, minor, zone, sigfigs, snap, link = struct.unpack_from("<IHHiIII", data)
    assert (magic, major, minor, zone, sigfigs, link) == (0xA1B2C3D4, 2, 4, 0, 0, 1)
    found, at = [], 24
    while at < len(data):
        at_s, at_us, size, whole = struct.unpack_from("<IIII", data, at)
        assert size == whole <= snap
        found.append((at_s * 1_000_000 + at_us, data[at + 16 : at + 16 + size]))
        at += 16 + size
    assert at == len(data)
    return found


def folded(data: bytes) -> int:
    """0xFFFF for data whose checksum, in its place, is right (RFC 1071)."""
    data += b"\x00" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def only(packet: Packet) -> bytes:
    ((at_us, frame),) = frames(pcap([packet]))
    assert at_us == AT_US
    return frame


def test_an_ipv4_message() -> None:
    frame = only(Packet(AT_US, ("192.0.2.1", 5060), ("198.51.100.2", 5070), BYE))
    assert frame[12:14] == b"\x08\x00"
    head, datagram = frame[14:34], frame[34:]
    assert head[0] == 0x45
    assert int.from_bytes(head[2:4], "big") == len(head) + len(datagram)
    assert (head[9], folded(head)) == (17, 0xFFFF)
    source, destination = ip_address(head[12:16]), ip_address(head[16:20])
    assert (str(source), str(destination)) == ("192.0.2.1", "198.51.100.2")
    assert struct.unpack_from(">HHH", datagram) == (5060, 5070, len(datagram))
    pseudo = head[12:20] + struct.pack(">II", len(datagram), 17)
    assert folded(pseudo + datagram) == 0xFFFF
    assert datagram[8:] == BYE


def test_an_ipv6_message() -> None:
    frame = only(Packet(AT_US, ("2001:db8::1", 5061), ("2001:db8::2", 40_000), BYE + b"x"))
    assert frame[12:14] == b"\x86\xdd"
    head, datagram = frame[14:54], frame[54:]
    version, size, following, hops = struct.unpack_from(">IHBB", head)
    assert (version >> 28, size, following, hops) == (6, len(datagram), 17, 64)
    pseudo = head[8:40] + struct.pack(">II", len(datagram), 17)
    assert folded(pseudo + datagram) == 0xFFFF
    assert datagram[8:] == BYE + b"x"


def test_addresses_of_two_families_are_written_as_ipv6() -> None:
    frame = only(Packet(AT_US, ("192.0.2.1", 5060), ("2001:db8::2", 5060), BYE))
    assert frame[22:38] == ip_address("::ffff:192.0.2.1").packed


def test_messages_stand_in_order_and_a_huge_one_is_cut() -> None:
    packets = [
        Packet(AT_US + number, ("192.0.2.1", 1), ("192.0.2.2", 2), b"x" * size)
        for number, size in enumerate((1, 70_000, 3))
    ]
    assert [len(frame) - 42 for _, frame in frames(pcap(packets))] == [1, 65_000, 3]
    assert pcap([])[:4] == b"\xd4\xc3\xb2\xa1"
