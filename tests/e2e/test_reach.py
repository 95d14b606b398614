"""Vendors found by DNS, redirections, Retry-After, and routing decided outside."""

import http.server
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import ladders
from tests.support import scenarios
from tests.support.dns_server import dns_in_background
from tests.support.lab import CALLER_HOST, VENDOR_HOST, Lab, eventually
from tests.support.ports import free_port
from tests.support.scenarios import receive, reply, scenario
from tests.support.sipp import Address, Sipp

_NUMBERS = itertools.count(10_000_000)
ROUTER_HOST = "127.0.0.4"
BY_SIP, BY_SIP_OR_NOT, BY_HTTP, TOLD = "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8"
BY_NAME = "127.0.0.10"
"""Customers by address: routed by a SIP server with and without fallback, by HTTP, told routes; by
a SIP server that DNS knows."""

VENDORS = {
    # name: prefix, price
    "moving": ("4910", "0.01"),
    "resting": ("4920", "0.01"),
    "backup": ("4920", "0.02"),
    "named": ("4930", "0.01"),
    "usual": ("4940", "0.01"),
    "chosen": ("4940", "0.05"),
    "lost": ("4950", "0.01"),
    "found": ("4950", "0.02"),
}


class Scene:
    """One call: SIPp at any address, and the record of it."""

    def __init__(self, lab: Lab, folder: Path, places: dict[str, Address]) -> None:
        self.lab = lab
        self.places = places
        self._folder = folder
        self._ends: list[Sipp] = []

    def at(self, place: str, play: str) -> None:
        """Play a scenario where ``place`` is."""
        name = f"{place}-{len(self._ends)}"
        self._ends.append(Sipp(self._folder, name, play, self.places[place]).start())

    def call(
        self, prefix: str, play: str = scenarios.CALLER, *, source: str = CALLER_HOST
    ) -> dict[str, Any]:
        """One call from ``source`` to a number of its own; every end must be content."""
        called = f"{prefix}{next(_NUMBERS)}"
        near = Sipp(
            self._folder, f"caller-{called}", play, (source, free_port(source)), self.lab.sip,
            called=called, hold_ms=200,
        ).start()  # fmt: skip
        self._ends.append(near)
        for end in self._ends:
            status = end.wait()
            assert status == 0, f"{end.name} ended with {status}: {end.errors()}"
        self._ends.clear()
        (row,) = self.lab.wait_cdrs(1, called=called)
        return dict(self.lab.get(f"/v1/cdrs/{row['call_id']}"))

    def close(self) -> None:
        for end in self._ends:
            end.stop()


def document(places: dict[str, Address], http_url: str) -> dict[str, Any]:
    """Vendors with prefixes of their own, and customers whose routing is decided in every way."""
    router = f"sip:{ROUTER_HOST}:{places['router'][1]}"
    customers: dict[str, dict[str, Any]] = {
        CALLER_HOST: {},
        BY_SIP: {"server": router, "timeout_ms": 1000},
        BY_SIP_OR_NOT: {"server": router, "timeout_ms": 1000, "on_failure": "refuse"},
        BY_HTTP: {"server": http_url, "timeout_ms": 1000, "on_failure": "refuse"},
        TOLD: {"answer_with_redirect": True},
        BY_NAME: {"server": "sip:router.test", "timeout_ms": 4000, "on_failure": "refuse"},
    }
    options = {
        "moving": {"redirects": {"policy": "follow"}},
        "named": {"dns": {"lookup": "srv"}},
        "lost": {"listener": "upstairs"},
        "found": {"listener": "127.0.0.1"},
    }
    decks = [
        {"name": f"buy-{name}", "currency": "EUR", "rates": [{"prefix": prefix, "price": price}]}
        for name, (prefix, price) in VENDORS.items()
    ]
    return {
        "accounts": [
            {"name": "customer", "currency": "EUR", "credit_limit": "1000"},
            {"name": "vendors", "currency": "EUR"},
        ],
        "rate_decks": [
            {"name": "sell", "currency": "EUR", "rates": [{"prefix": "49", "price": "0.1"}]},
            *decks,
        ],
        "vendor_trunks": [
            {
                "name": name,
                "account": "vendors",
                "rate_deck": f"buy-{name}",
                "host": "vendor.test" if name == "named" else places[name][0],
                "port": places[name][1],
                "sip": options.get(name, {}),
            }
            for name in VENDORS
        ],
        "customer_trunks": [
            {
                "name": f"customer-{address}",
                "account": "customer",
                "rate_deck": "sell",
                "addresses": [address],
                "sip": {"routing": routing},
            }
            for address, routing in customers.items()
        ],
    }


class _Router(http.server.BaseHTTPRequestHandler):
    answer = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def http_router() -> Iterator[str]:
    """A routing server over HTTP: what it says is ``_Router.answer``."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Router) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/routes"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def set_up(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Lab, dict[str, Address]]]:
    hosts = dict.fromkeys([*VENDORS, "elsewhere", "second"], VENDOR_HOST)
    hosts |= {"router": ROUTER_HOST, "nowhere": ROUTER_HOST}
    places = {name: (host, free_port(host)) for name, host in hosts.items()}
    records = {
        "_sip._udp.vendor.test SRV": [
            f"10 0 {places['named'][1]} gw.vendor.test.",
            f"20 0 {places['second'][1]} gw.vendor.test.",
        ],
        "gw.vendor.test A": [VENDOR_HOST],
        "_sip._udp.router.test SRV": [
            f"10 0 {places['nowhere'][1]} gw.router.test.",
            f"20 0 {places['router'][1]} gw.router.test.",
        ],
        "gw.router.test A": [ROUTER_HOST],
    }
    with dns_in_background(records) as dns, http_router() as url:
        environment = {"TANDEM_DNS_SERVERS": dns.text}
        folder = tmp_path_factory.mktemp("switch")
        with Lab(folder, vendors=tuple(VENDORS), environment=environment) as lab:
            lab.apply(document(places, url))
            yield lab, places


@pytest.fixture
def scene(set_up: tuple[Lab, dict[str, Address]], tmp_path: Path) -> Iterator[Scene]:
    lab, places = set_up
    scene = Scene(lab, tmp_path, places)
    yield scene
    scene.close()


def refusing(start: str, *further: str) -> str:
    """Refuses every call, with these header lines."""
    return scenario(
        start, receive("INVITE"), reply(start, contact=False, further=further), receive("ACK")
    )


def route(record: dict[str, Any]) -> list[tuple[str, int, str]]:
    """Port, code and end reason of every attempt."""
    return [
        (
            each["target"].partition(":")[2].partition(";")[0],
            each.get("sip_code", 0),
            each.get("end_reason", ""),
        )
        for each in record["attempts"]
    ]


def port(scene: Scene, place: str) -> str:
    return str(scene.places[place][1])


def test_redirect_by_vendor_is_followed(scene: Scene) -> None:
    host, elsewhere = scene.places["elsewhere"]
    contacts = (
        "Contact: <sip:1@127.0.0.1:9>;q=0.1",
        f"Contact: <sip:4910999@{host}:{elsewhere}?Subject=x>;q=0.9",
    )
    scene.at("moving", refusing("302 Moved Temporarily", *contacts))
    scene.at("elsewhere", scenarios.VENDOR)
    record = scene.call("4910")
    assert route(record) == [
        (port(scene, "moving"), 302, "redirected"),
        (port(scene, "elsewhere"), 200, "normal"),
    ]
    assert record["attempts"][1]["called"] == "4910999"
    assert record["vendor_rate"] == "0.01"


def test_redirect_by_vendor_is_refused_by_default(scene: Scene) -> None:
    host, elsewhere = scene.places["elsewhere"]
    scene.at("usual", refusing("302 Moved", f"Contact: <sip:1@{host}:{elsewhere}>"))
    scene.at("chosen", scenarios.VENDOR)
    record = scene.call("4940")
    assert route(record) == [
        (port(scene, "usual"), 302, "rejected"),
        (port(scene, "chosen"), 200, "normal"),
    ]


def test_dns_srv_failover(scene: Scene) -> None:
    scene.at("second", scenarios.VENDOR)  # nobody listens where the first record leads
    record = scene.call("4930")
    assert [(where, reason) for where, _, reason in route(record)] == [
        (port(scene, "named"), "vendor_unreachable"),
        (port(scene, "second"), "normal"),
    ]


def test_dns_srv_failover_on_503(scene: Scene) -> None:
    scene.at("named", refusing("503 Service Unavailable"))
    scene.at("second", scenarios.VENDOR)
    record = scene.call("4930")
    assert route(record) == [
        (port(scene, "named"), 503, "rejected"),
        (port(scene, "second"), 200, "normal"),
    ]


def test_retry_after_is_obeyed_and_shown(scene: Scene) -> None:
    scene.at("resting", refusing("503 Service Unavailable", "Retry-After: 250"))
    scene.at("backup", scenarios.VENDOR)
    first = scene.call("4920")
    assert route(first)[0] == (port(scene, "resting"), 503, "rejected")
    scene.at("backup", scenarios.VENDOR)
    second = scene.call("4920")
    assert route(second) == [
        (port(scene, "resting"), 0, "vendor_backoff"),
        (port(scene, "backup"), 200, "normal"),
    ]
    states = {row["name"]: row for row in scene.lab.get("/v1/vendor_states")["data"]}
    assert states["resting"]["state"] == "backoff"
    assert states["resting"]["why"] == "503 with Retry-After: 250"
    assert states["resting"]["until"] > states["resting"]["since"]
    assert states["backup"]["state"] == "unknown"


def test_external_redirect_server_routes_are_used(scene: Scene) -> None:
    contacts = (
        "Contact: <sip:4940777@chosen;max_call_s=600>;q=0.9",
        "Contact: <sip:4940888@nobody>;q=0.8",
    )
    scene.at("router", refusing("302 Moved Temporarily", *contacts))
    scene.at("chosen", scenarios.VENDOR)
    record = scene.call("4940", source=BY_SIP)
    assert route(record) == [(port(scene, "chosen"), 200, "normal")]
    assert record["attempts"][0]["called"] == "4940777"
    assert record["vendor_rate"] == "0.05"
    explanation = record["explanation"]
    assert explanation["note"].startswith("the routing server offered 2 routes")
    assert [(one["name"], one["verdict"]) for one in explanation["considered"]] == [
        ("chosen", "candidate"),
        ("nobody", "unknown"),
    ]


def test_external_redirect_server_is_found_by_dns_with_failover(scene: Scene) -> None:
    scene.at("router", refusing("302 Moved Temporarily", "Contact: <sip:4940777@chosen>"))
    scene.at("chosen", scenarios.VENDOR)
    record = scene.call("4940", source=BY_NAME)
    assert route(record) == [(port(scene, "chosen"), 200, "normal")]


def test_a_vendor_whose_listening_address_is_not_here(scene: Scene) -> None:
    scene.at("found", scenarios.VENDOR)
    record = scene.call("4950")
    assert route(record) == [
        (port(scene, "lost"), 0, "listener_missing"),
        (port(scene, "found"), 200, "normal"),
    ]
    states = {row["name"]: row for row in scene.lab.get("/v1/vendor_states")["data"]}
    assert (states["lost"]["state"], states["lost"]["why"]) == (
        "down", "no listening address upstairs on this node",
    )  # fmt: skip
    assert states["found"]["state"] == "unknown"


def test_external_redirect_server_refuses(scene: Scene) -> None:
    scene.at("router", refusing("404 Not Found"))
    record = scene.call("4940", ladders.refused_caller(404), source=BY_SIP)
    assert (record["end_reason"], record["sip_code_out"]) == ("routing_server_refused", 404)


def test_external_redirect_server_down(scene: Scene) -> None:
    scene.at("usual", scenarios.VENDOR)
    record = scene.call("4940", source=BY_SIP)
    assert route(record) == [(port(scene, "usual"), 200, "normal")]
    assert record["explanation"]["note"].startswith("routing server")
    record = scene.call("4940", ladders.refused_caller(503), source=BY_SIP_OR_NOT)
    assert (record["end_reason"], record["attempts"] or []) == ("routing_server_failed", [])


def test_external_redirect_server_answers_nonsense(scene: Scene) -> None:
    nonsense = refusing("302 Moved Temporarily", "Contact: <tel:+4940>")
    scene.at("router", nonsense)
    scene.at("usual", scenarios.VENDOR)
    record = scene.call("4940", source=BY_SIP)
    assert route(record) == [(port(scene, "usual"), 200, "normal")]
    assert record["explanation"]["note"] == "routing server gave no usable answer"
    scene.at("router", nonsense)
    record = scene.call("4940", ladders.refused_caller(503), source=BY_SIP_OR_NOT)
    assert record["end_reason"] == "routing_server_failed"


def test_external_server_over_http(scene: Scene) -> None:
    _Router.answer = b'{"routes": [{"vendor_trunk": "chosen", "caller": "4711"}]}'
    scene.at("chosen", scenarios.VENDOR)

    # Its client is loaded when the first such trunk is; calls before that are refused.
    def routed() -> dict[str, Any] | None:
        record = scene.call("4940", scenarios.answered_or_refused(503), source=BY_HTTP)
        return record if record["end_reason"] == "normal" else None

    record = eventually(routed, what="a call routed over HTTP")
    assert record["attempts"][0]["caller"] == "4711"
    _Router.answer = b'{"refuse": {"status": 486, "reason": "not tonight"}}'
    record = scene.call("4940", ladders.refused_caller(486), source=BY_HTTP)
    assert record["end_reason"] == "routing_server_refused"
    _Router.answer = b"<html>"
    record = scene.call("4940", ladders.refused_caller(503), source=BY_HTTP)
    assert record["end_reason"] == "routing_server_failed"


def test_the_switch_as_a_redirect_server(scene: Scene) -> None:
    record = scene.call("4940", ladders.refused_caller(300), source=TOLD)
    assert (record["end_reason"], record["sip_code_out"]) == ("redirected", 300)
    assert record["attempts"] in (None, [])
    record = scene.call("4930", ladders.refused_caller(302), source=TOLD)
    assert record["sip_code_out"] == 302
