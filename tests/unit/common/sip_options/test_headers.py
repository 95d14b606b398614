"""Names that options may and may not say something about."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import Invalid
from services.common.sip_options.headers import GOVERNED_HEADERS, STACK_HEADERS, Headers
from services.common.sip_options.trunk import VendorSip, plain, read_options


def read(**options: Any) -> Headers:
    return read_options(VendorSip, {"headers": options}).headers


@pytest.mark.parametrize("name", [*sorted(STACK_HEADERS), "content-foo", "Mime-Version", "VIA"])
def test_headers_of_the_stack_are_nobodys(name: str) -> None:
    for options in ({"listed": [name]}, {"strip": [name]}, {"add": {name: "1"}}):
        with pytest.raises(Invalid) as refused:
            read(**options)
        assert refused.value.field == f"sip.headers.{next(iter(options))}"


@pytest.mark.parametrize("name", sorted(GOVERNED_HEADERS))
def test_other_groups_govern_some_but_they_can_be_added(name: str) -> None:
    for options in ({"listed": [name]}, {"strip": [name]}):
        with pytest.raises(Invalid):
            read(**options)
    assert read(add={name: "1"}).add == {name: "1"}


@pytest.mark.parametrize("name", ["s", "v", "", "X A", "X:A", "X\t", "Ü-A", "a" * 65])
def test_odd_names_are_refused(name: str) -> None:
    for options in ({"listed": [name]}, {"add": {name: "1"}}):
        with pytest.raises(Invalid):
            read(**options)


def test_a_header_is_added_once() -> None:
    with pytest.raises(Invalid, match="twice"):
        read(add={"X-A": "1", "x-a": "2"})


def test_it_is_written_as_it_was_read() -> None:
    options = {"headers": {"pass": "listed", "listed": ["X-A"], "add": {"X-B": "é €"}}}
    assert plain(read_options(VendorSip, options)) == options
