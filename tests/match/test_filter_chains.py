"""Envoy's sieve for filter chains: level by level, the most specific wins, and there is no way back."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.match.facts import ConnectionFacts
from sandbox.match.filter_chain_table import FilterChainTable
from sandbox.match.listener_table import ListenerTable
from sandbox.match.reference import choose_filter_chain
from sandbox.plan.base import CidrRange, SocketAddress
from sandbox.plan.listener import AdditionalAddress, FilterChain, FilterChainMatch, Listener


def _chain(name: str, **match: Any) -> FilterChain:
    prefixes = tuple(
        CidrRange(address_prefix=text.partition("/")[0], prefix_len=int(text.partition("/")[2]))
        for text in match.pop("prefixes", ())
    )
    return FilterChain(name=name, filter_chain_match=FilterChainMatch(prefix_ranges=prefixes, **match))


LISTENER = Listener(
    name="0.0.0.0_443",
    filter_chains=(
        _chain("blackhole", destination_port=15001),
        _chain("exact", server_names=("api.example.com",)),
        _chain("wide", server_names=("*.example.com", "*.org")),
        _chain("wider", server_names=("*.com",)),
        _chain("h2-only", server_names=("h2.example.com",), application_protocols=("h2",)),
        _chain("plain", transport_protocol="raw_buffer", application_protocols=("http/1.1",)),
        _chain("service", prefixes=("10.0.0.0/8",), server_names=("only.example.com",)),
    ),
    default_filter_chain=FilterChain(name="default"),
)

CASES = {
    "the exact server name": ({"server_name": "api.example.com"}, "exact"),
    "a wildcard at any depth": ({"server_name": "a.b.example.com"}, "wide"),
    "the longest wildcard": ({"server_name": "b.example.com"}, "wide"),
    "a wildcard is not its own domain": ({"server_name": "example.com"}, "wider"),
    "a wildcard of one label": ({"server_name": "x.org"}, "wide"),
    "no way back when the protocol does not fit": (
        {"server_name": "h2.example.com", "application_protocols": ("http/1.1",)},
        "default",
    ),
    "the protocol that fits": (
        {"server_name": "h2.example.com", "application_protocols": ("h2", "http/1.1")},
        "h2-only",
    ),
    "no way back from a more specific address": (
        {"destination_ip": "10.1.2.3", "server_name": "api.example.com"},
        "default",
    ),
    "the address and the name": ({"destination_ip": "10.1.2.3", "server_name": "only.example.com"}, "service"),
    "no way back from a port of its own": ({"destination_port": 15001, "server_name": "api.example.com"}, "blackhole"),
    "plain HTTP": ({"transport_protocol": "raw_buffer", "application_protocols": ("http/1.1",)}, "plain"),
    "plain, not HTTP": ({"transport_protocol": "raw_buffer"}, "default"),
    "TLS without a name": ({}, "default"),
}


@pytest.mark.parametrize(("facts", "name"), CASES.values(), ids=list(CASES))
def test_the_most_particular_chain_takes_the_connection(facts: dict[str, Any], name: str) -> None:
    given: dict[str, Any] = {"destination_ip": "1.2.3.4", "destination_port": 443, "transport_protocol": "tls"} | facts
    found = FilterChainTable(LISTENER).find(ConnectionFacts(**given))
    assert found is not None
    assert found.name == name
    assert choose_filter_chain(LISTENER, ConnectionFacts(**given)).chosen is found


def test_without_a_default_chain_the_connection_has_none() -> None:
    listener = Listener(filter_chains=(_chain("a", server_names=("a.com",)),))
    facts = ConnectionFacts(destination_ip="1.2.3.4", destination_port=443, server_name="b.com")
    assert FilterChainTable(listener).find(facts) is None
    choice = choose_filter_chain(listener, facts)
    assert [loser.reason for loser in choice.losers] == ["SNI b.com is not a.com"]


def _listener(name: str, ip: str, port: int, **more: Any) -> Listener:
    return Listener(name=name, address=SocketAddress(address=ip, port_value=port), **more)


LISTENERS = (
    _listener("virtualOutbound", "0.0.0.0", 15001, use_original_dst=True, traffic_direction="OUTBOUND"),
    _listener("virtualInbound", "0.0.0.0", 15006, use_original_dst=True, traffic_direction="INBOUND"),
    _listener(
        "0.0.0.0_80", "0.0.0.0", 80,
        additional_addresses=(AdditionalAddress(address=SocketAddress(address="::", port_value=80)),),
    ),
    _listener("240.240.0.1_443", "240.240.0.1", 443),
    _listener("2001:db8::1_443", "2001:0db8:0::1", 443),
)  # fmt: skip
DESTINATIONS = {
    "exact": ("240.240.0.1", 443, "240.240.0.1_443"),
    "exact, IPv6 in another spelling": ("2001:db8::1", 443, "2001:db8::1_443"),
    "wildcard": ("1.2.3.4", 80, "0.0.0.0_80"),
    "wildcard of the other family": ("2001:db8::2", 80, "0.0.0.0_80"),
    "another address": ("1.2.3.4", 443, "virtualOutbound"),
}


@pytest.mark.parametrize(("ip", "port", "name"), DESTINATIONS.values(), ids=list(DESTINATIONS))
def test_the_most_particular_listener_takes_the_connection(ip: str, port: int, name: str) -> None:
    found = ListenerTable(LISTENERS).find(ip, port)
    assert found is not None
    assert found.name == name
