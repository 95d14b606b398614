"""Names of vendors, asked of a real name server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.common.clock import monotonic
from services.common.errors import Unavailable
from services.signaling.adapters.dns import DnsLookups
from services.signaling.adapters.names import VendorNames
from services.signaling.core.targets import Naptr, Service, Srv, in_order
from services.signaling.sip.actions import Peer
from tests.support.dns_server import DnsServer
from tests.support.signaling.party import until

UDP = Service("vendor.example", "udp", "srv")


@asynccontextmanager
async def names_of(server: DnsServer, *, with_v6: bool = False) -> AsyncIterator[VendorNames]:
    """Kept fresh until the block ends."""
    names = VendorNames(
        lambda: DnsLookups([server.address], hosts_file=Path("/nowhere")),
        monotonic=monotonic,
        with_v6=with_v6,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(names.run())
        yield names
        running.cancel()


async def test_every_kind_of_record_is_read() -> None:
    async with DnsServer.started() as server:
        server.set("a.example", "A", "192.0.2.1", "192.0.2.2")
        server.set("a.example", "AAAA", "2001:db8::1")
        server.set("_sip._udp.a.example", "SRV", "10 20 5070 GW.example.")
        naptr = '10 20 "s" "SIP+D2U" "" _sip._udp.a.example.'
        server.set("a.example", "NAPTR", naptr)
        server.set("empty.example", "A")
        lookups = DnsLookups([server.address], hosts_file=Path("/nowhere"))
        found = await lookups.query("a.example", "A")
        assert (set(found.values), found.ttl_s) == ({"192.0.2.1", "192.0.2.2"}, 60.0)
        assert (await lookups.query("a.example", "AAAA")).values == ("2001:db8::1",)
        srv = await lookups.query("_sip._udp.a.example", "SRV")
        assert srv.values == (Srv(10, 20, 5070, "gw.example"),)
        (read,) = (await lookups.query("a.example", "NAPTR")).values
        assert read == Naptr(10, 20, "s", "SIP+D2U", "_sip._udp.a.example")
        assert (await lookups.query("empty.example", "A")).values == ()
        assert (await lookups.query("nobody.example", "A")).values == ()


async def test_a_failing_server_is_not_an_empty_answer() -> None:
    async with DnsServer.started() as server:
        server.fails = True
        lookups = DnsLookups([server.address], hosts_file=Path("/nowhere"))
        with pytest.raises(Unavailable):
            await lookups.query("a.example", "A")


async def test_the_hosts_file_comes_first(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("# local\n192.0.2.7 gw GW.example # a comment\n::1 gw.example\n\nbroken\n")
    async with DnsServer.started() as server:
        lookups = DnsLookups([server.address], hosts_file=hosts)
        assert (await lookups.query("gw.example", "A")).values == ("192.0.2.7",)
        assert (await lookups.query("gw.example", "AAAA")).values == ("::1",)
        assert server.asked.total() == 0


async def test_addresses_of_both_families_are_known_and_literals_are_not_asked() -> None:
    async with DnsServer.started() as server, names_of(server, with_v6=True) as names:
        server.set("vendor.example", "A", "192.0.2.1")
        server.set("vendor.example", "AAAA", "2001:db8::1")
        names.want({"Vendor.example", "192.0.2.99", "2001:db8::9"}, set())
        await names.settled(10.0)
        assert names.addresses == {"vendor.example": ("192.0.2.1", "2001:db8::1")}
        assert set(server.asked) == {"vendor.example A", "vendor.example AAAA"}


async def test_srv_records_bring_their_hosts_with_them() -> None:
    async with DnsServer.started() as server, names_of(server) as names:
        server.set("_sip._udp.vendor.example", "SRV", "20 0 5072 two.example.",
                   "10 0 5071 one.example.")  # fmt: skip
        server.set("one.example", "A", "192.0.2.1")
        server.set("two.example", "A", "192.0.2.2")
        names.want({"vendor.example"}, {UDP})
        await until(lambda: len(names.services.get(UDP, ())) == 2)
        assert in_order(names.services[UDP], lambda: 0.0) == [
            Peer("udp", "192.0.2.1", 5071),
            Peer("udp", "192.0.2.2", 5072),
        ]


async def test_naptr_chooses_the_transport_and_without_it_all_are_asked() -> None:
    async with DnsServer.started() as server, names_of(server) as names:
        naptr = Service("vendor.example", "udp", "naptr")
        other = Service("other.example", "udp", "naptr")
        server.set("vendor.example", "NAPTR", '10 1 "s" "SIP+D2T" "" _sip._tcp.vendor.example.')
        server.set("_sip._tcp.vendor.example", "SRV", "1 1 5070 192.0.2.1.")
        server.set("_sip._tcp.other.example", "SRV", "1 1 5080 192.0.2.2.")
        names.want(set(), {naptr, other})
        await until(lambda: bool(names.services.get(naptr)) and bool(names.services.get(other)))
        assert names.services[naptr][0].peers == (Peer("tcp", "192.0.2.1", 5070),)
        assert names.services[other][0].peers == (Peer("tcp", "192.0.2.2", 5080),)
        assert "_sip._udp.vendor.example SRV" not in server.asked


async def test_an_answer_is_renewed_before_it_expires_and_told() -> None:
    async with DnsServer.started() as server, names_of(server) as names:
        changes: list[dict[str, tuple[str, ...]]] = []
        names.on_change = lambda: changes.append(dict(names.addresses))
        server.ttl_s = 1
        server.set("vendor.example", "A", "192.0.2.1")
        names.want({"vendor.example"}, set())
        await names.settled(10.0)
        server.set("vendor.example", "A", "192.0.2.5")
        await until(lambda: names.addresses["vendor.example"] == ("192.0.2.5",))
        assert [found["vendor.example"] for found in changes] == [("192.0.2.1",), ("192.0.2.5",)]


async def test_while_dns_fails_the_last_answer_stays() -> None:
    async with DnsServer.started() as server, names_of(server) as names:
        server.ttl_s = 1
        server.set("vendor.example", "A", "192.0.2.1")
        names.want({"vendor.example"}, set())
        await names.settled(10.0)
        before = server.asked.total()
        server.fails = True
        await until(lambda: server.asked.total() > before)
        await until(lambda: not names._asking)
        assert names.addresses["vendor.example"] == ("192.0.2.1",)


async def test_what_dns_says_is_gone_is_gone() -> None:
    async with DnsServer.started() as server, names_of(server) as names:
        server.ttl_s = 1
        server.set("vendor.example", "A", "192.0.2.1")
        names.want({"vendor.example"}, set())
        await names.settled(10.0)
        server.records.clear()
        await until(lambda: names.addresses["vendor.example"] == ())


async def test_the_address_in_use_stays_first_however_the_list_is_turned() -> None:
    async with DnsServer.started() as server, names_of(server) as names:
        server.ttl_s = 1
        server.set("vendor.example", "A", "192.0.2.1", "192.0.2.2")
        names.want({"vendor.example"}, set())
        await names.settled(10.0)
        first = names.addresses["vendor.example"]
        server.set("vendor.example", "A", *reversed(first), "192.0.2.3")
        await until(lambda: len(names.addresses["vendor.example"]) == 3)
        assert names.addresses["vendor.example"][:2] == first


async def test_a_name_nobody_wants_any_more_is_forgotten_and_not_asked() -> None:
    async with DnsServer.started() as server, names_of(server) as names:
        server.set("vendor.example", "A", "192.0.2.1")
        server.set("_sip._udp.vendor.example", "SRV", "1 1 5070 one.example.")
        server.set("one.example", "A", "192.0.2.2")
        names.want({"vendor.example"}, {UDP})
        await until(lambda: "one.example" in names.addresses)
        names.want(set(), set())
        assert names.addresses == {}
        assert names.services == {}


async def test_a_silent_server_holds_nobody_up() -> None:
    async with DnsServer.started() as server, names_of(server) as names:
        server.is_silent = True
        names.want({"vendor.example"}, set())
        await names.settled(0.05)
        assert names.addresses == {}
        server.is_silent = False
