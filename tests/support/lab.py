"""A whole switch for a test: five services on free ports, a customer, two vendors, and the API."""

import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from clickhouse_driver import Client

from deploy.local.settings import Options
from deploy.local.switch import LocalSwitch
from tests.support.ports import RTP, free_port
from tests.support.sipp import Address

SWITCH_HOST = "127.0.0.1"
CALLER_HOST = "127.0.0.2"
VENDOR_HOST = "127.0.0.3"

CALLED = "4912345678"
"""What SIPp dials unless told otherwise."""

T = TypeVar("T")


def eventually(look: Callable[[], T | None], *, within_s: float = 20.0, what: str = "") -> T:
    """The first result that is not ``None``; what is looked at has no event to await."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while (result := look()) is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or look} did not happen within {within_s} s")
        pause.wait(0.05)
    return result


def answers_options(switch: Address, host: str) -> bool | None:
    """Whether the switch answers OPTIONS from ``host``: it is silent to strangers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind((host, 0))
        phone.settimeout(0.2)
        mark = secrets.token_hex(6)
        request = (
            f"OPTIONS sip:{switch[0]}:{switch[1]} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{phone.getsockname()[1]};branch=z9hG4bK{mark}\r\n"
            f"From: <sip:lab@{host}>;tag={mark}\r\nTo: <sip:{switch[0]}>\r\n"
            f"Call-ID: {mark}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        phone.sendto(request.encode(), switch)
        try:
            phone.recv(65_535)
        except TimeoutError:
            return None
        return True


def document(
    vendors: Mapping[str, Address], *, media_proxy: bool, caller: str = CALLER_HOST
) -> dict[str, Any]:
    """One customer who may call 49..., and the vendors by increasing price."""
    decks = [
        {
            "name": f"buy-{name}",
            "currency": "EUR",
            "rates": [{"prefix": "49", "price": f"0.0{order}2"}],
        }
        for order, name in enumerate(vendors, start=1)
    ]
    trunks = [
        {
            "name": name,
            "account": "vendors",
            "rate_deck": f"buy-{name}",
            "host": address[0],
            "port": address[1],
            "media_proxy": media_proxy,
        }
        for name, address in vendors.items()
    ]
    sell = {"prefix": "49", "price": "0.06", "connect_fee": "0.001"}
    return {
        "accounts": [
            {"name": "customer", "currency": "EUR", "credit_limit": "1000"},
            {"name": "vendors", "currency": "EUR"},
        ],
        "rate_decks": [{"name": "sell", "currency": "EUR", "rates": [sell]}, *decks],
        "vendor_trunks": trunks,
        "customer_trunks": [
            {
                "name": "customer-trunk",
                "account": "customer",
                "rate_deck": "sell",
                "addresses": [caller],
                "media_proxy": media_proxy,
            }
        ],
    }


class Lab:
    """The switch of one test; everything it made is gone after :meth:`stop`."""

    def __init__(
        self,
        folder: Path,
        *,
        vendors: tuple[str, ...] = ("cheap", "dear"),
        environment: Mapping[str, str] | None = None,
        fsync: bool = True,
        sip: tuple[str, ...] = (),
        rtp: str = f"{SWITCH_HOST}:{RTP}",
    ) -> None:
        """``sip``: where to listen beside UDP and TCP of :data:`SWITCH_HOST`."""
        self.folder = folder
        self.sip: Address = (SWITCH_HOST, free_port())
        self.vendors: dict[str, Address] = {
            name: (VENDOR_HOST, free_port(VENDOR_HOST)) for name in vendors
        }
        options = Options(
            data=folder / "data",
            sip=(f"{SWITCH_HOST}:{self.sip[1]}", *sip),
            rtp=rtp,
            http=f"{SWITCH_HOST}:{free_port()}",
            environment=environment or {},
            fsync=fsync,
        )
        self.switch = LocalSwitch(options)
        self.http = httpx.Client(timeout=30.0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start everything and wait until it is ready."""
        self.switch.start()
        addresses = self.switch.addresses
        self.http.base_url = httpx.URL(f"http://{addresses.http}")
        self.http.headers["Authorization"] = f"Bearer {addresses.admin_key}"
        return self

    def stop(self) -> None:
        """Stop everything and remove the data."""
        self.http.close()
        self.switch.stop()
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def get(self, path: str, **params: object) -> Any:
        """GET, answered with success."""
        given = {name: str(value) for name, value in params.items() if value is not None}
        response = self.http.get(path, params=given)
        assert response.is_success, response.text
        return response.json()

    def post(self, path: str, body: object, **params: object) -> Any:
        """POST, answered with success."""
        given = {name: str(value) for name, value in params.items()}
        response = self.http.post(path, json=body, params=given)
        assert response.is_success, response.text
        return response.json()

    def apply(self, body: dict[str, Any]) -> None:
        """Describe the switch, and wait until signaling and routing go by it."""
        self.post("/v1/apply", body)
        for trunk in body["customer_trunks"]:
            eventually(partial(self._routed, trunk["name"]), what="routes known")
            for address in trunk["addresses"]:
                host = address.partition(":")[0]
                eventually(partial(answers_options, self.sip, host), what="trunk known")

    def _routed(self, trunk: str) -> bool | None:
        order = {"customer_trunk": trunk, "called": CALLED}
        plan = self.post("/v1/simulations", order)
        considered = plan["explanation"].get("considered", ())
        return len(considered) >= len(self.vendors) or None

    def account(self, name: str) -> dict[str, Any]:
        """One account, balance included."""
        (found,) = [a for a in self.get("/v1/accounts", name=name)["data"] if a["name"] == name]
        return dict(found)

    def balance(self, name: str) -> Decimal:
        """What the party has with us."""
        return Decimal(str(self.account(name)["balance"]))

    def cdrs(self, **filters: object) -> list[dict[str, Any]]:
        """All records that match."""
        rows: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.get("/v1/cdrs", limit=500, after=after, **filters)
            rows += page["data"]
            after = page.get("next")
            if not after:
                return rows

    def record_count(self) -> int:
        """How many records ClickHouse holds."""
        with Client.from_url(self.switch.addresses.clickhouse_dsn) as client:
            ((count,),) = client.execute("SELECT count() FROM cdr FINAL")
        return int(count)

    def wait_cdrs(self, count: int, *, within_s: float = 30.0, **filters: object) -> list[Any]:
        """Exactly ``count`` records that match; more is a failure at once, fewer after a while."""

        def look() -> list[dict[str, Any]] | None:
            rows = self.cdrs(**filters)
            assert len(rows) <= count, f"{len(rows)} records instead of {count}"
            return rows if len(rows) == count else None

        return eventually(look, within_s=within_s, what=f"{count} records")
