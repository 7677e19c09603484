"""Settings: the small languages of the command line's addresses."""

from __future__ import annotations

import pytest

from sandbox.errors import SettingsError
from sandbox.settings import HostPort, ResolveOverride, StaticMap, parse_host_port, parse_resolve, parse_static_map

ADDRESSES = {
    "127.0.0.1:80": HostPort("127.0.0.1", 80),
    "[::1]:80": HostPort("::1", 80),
    ":8080": HostPort("127.0.0.1", 8080),
    "name.example:443": HostPort("name.example", 443),
}


@pytest.mark.parametrize(("text", "address"), ADDRESSES.items(), ids=ADDRESSES.keys())
def test_an_address_is_read_in_every_spelling(text: str, address: HostPort) -> None:
    assert parse_host_port(text) == address


def test_a_default_port_fills_in() -> None:
    assert parse_host_port("10.0.0.1", 53) == HostPort("10.0.0.1", 53)
    assert parse_host_port("::1", 53) == HostPort("::1", 53)
    assert parse_host_port("[::1]", 53) == HostPort("::1", 53)
    assert str(HostPort("::1", 53)) == "[::1]:53"


@pytest.mark.parametrize("text", ["127.0.0.1", "a:b", "a:99999", "a:-1", "::1"])
def test_bad_addresses_are_told(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_host_port(text)


def test_maps_and_overrides() -> None:
    assert parse_static_map("127.0.0.1:8080=httpbin.org:80") == StaticMap(
        HostPort("127.0.0.1", 8080), HostPort("httpbin.org", 80)
    )
    assert parse_resolve("A.example=10.0.0.1") == ResolveOverride("a.example", None, "10.0.0.1", None)
    assert parse_resolve("a.example:80=[::1]:8080") == ResolveOverride("a.example", 80, "::1", 8080)


@pytest.mark.parametrize("text", ["a.example", "a.example=b.example", "a.example:80"])
def test_bad_overrides_are_told(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_resolve(text)
