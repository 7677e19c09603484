"""Names: overrides, the hosts file, DNS answers with aliases and lives, refresh, and the forward proxy's cache."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest

from sandbox.plan.base import SocketAddress
from sandbox.plan.cluster import (
    Cluster,
    ClusterLoadAssignment,
    CustomClusterType,
    DynamicForwardProxyClusterConfig,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from sandbox.plan.listener import DnsCacheConfig
from sandbox.proxy import forward_proxy_hosts
from sandbox.proxy.cluster_runtime import ClusterEnvironment, ClusterRuntime
from sandbox.proxy.forward_proxy_hosts import LOOP, TOO_MANY, split_authority
from sandbox.proxy.host import Host
from sandbox.proxy.load_balancer import LoadBalancerContext
from sandbox.proxy.resolver import Answer, NoAnswer, Resolver, read_answer
from sandbox.proxy.secrets import SecretStore
from sandbox.proxy.system_names import SystemNames, read_system_names
from sandbox.settings import HostPort, ResolveOverride

from .proxy_world import on_a_loop

Zone = dict[tuple[str, str], list[str]]


class FakeDns(asyncio.DatagramProtocol):
    """Answers from ``zone``: (name, type) → records; a name it does not have is NXDOMAIN."""

    def __init__(self, zone: Zone, ttl: int) -> None:
        self.zone = zone
        self._ttl = ttl
        self.questions: list[tuple[str, str]] = []
        self.rcode: dns.rcode.Rcode | None = None
        self._more = asyncio.Event()

    async def asked(self, count: int) -> None:
        """Waits for that many questions."""
        while len(self.questions) < count:
            self._more.clear()
            await self._more.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.questions.append((name, kind))
        self._more.set()
        response = dns.message.make_response(query)
        known = any(key[0] == name for key in self.zone)
        response.set_rcode(
            self.rcode if self.rcode is not None else (dns.rcode.NOERROR if known else dns.rcode.NXDOMAIN)
        )
        if (name, kind) in self.zone and not response.rcode():
            response.answer.append(dns.rrset.from_text(name + ".", self._ttl, "IN", kind, *self.zone[name, kind]))
        self.transport.sendto(response.to_wire(), addr)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def dns_server(zone: Zone, ttl: int = 1) -> AsyncIterator[tuple[FakeDns, Resolver]]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: FakeDns(zone, ttl), local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    try:
        yield server, Resolver(servers=(HostPort("127.0.0.1", port),), system=SystemNames())
    finally:
        transport.close()


ZONE: Zone = {("a.example", "A"): ["10.0.0.1", "10.0.0.2"], ("six.example", "AAAA"): ["2001:db8::1"]}

FAMILIES = {
    "v4 of a v4 name": ("a.example", "V4_ONLY", ("10.0.0.1", "10.0.0.2")),
    "v6 of a v4 name": ("a.example", "V6_ONLY", ()),
    "either of a v4 name": ("a.example", "AUTO", ("10.0.0.1", "10.0.0.2")),
    "either of a v6 name": ("six.example", "V4_PREFERRED", ("2001:db8::1",)),
    "all of a v6 name": ("six.example", "ALL", ("2001:db8::1",)),
}


@pytest.mark.parametrize(("name", "family", "addresses"), FAMILIES.values(), ids=FAMILIES.keys())
@on_a_loop
async def test_a_lookup_family_says_which_addresses_count(name: str, family: str, addresses: tuple[str, ...]) -> None:
    async with dns_server(ZONE) as (_, resolver):
        answer = await resolver.resolve(name, family)
        assert isinstance(answer, Answer)
        assert sorted(answer.addresses) == sorted(addresses)


@on_a_loop
async def test_a_name_that_does_not_exist_has_no_answer() -> None:
    async with dns_server(ZONE) as (server, resolver):
        assert await resolver.resolve("nowhere.example", "V4_ONLY") == NoAnswer("no such name")
        server.rcode = dns.rcode.SERVFAIL
        assert await resolver.resolve("a.example", "V4_ONLY") == NoAnswer("DNS server failure")


def test_aliases_are_followed_and_the_shortest_life_counts() -> None:
    query = dns.message.make_query("www.example", "A")
    response = dns.message.make_response(query)
    response.answer.append(dns.rrset.from_text("www.example.", 10, "IN", "CNAME", "web.example."))
    response.answer.append(dns.rrset.from_text("web.example.", 300, "IN", "A", "10.0.0.9"))
    assert read_answer(response, "A") == Answer(("10.0.0.9",), 10.0)


def test_an_address_counts_whosever_it_is() -> None:
    response = dns.message.make_response(dns.message.make_query("www.example", "A"))
    response.answer.append(dns.rrset.from_text("other.example.", 10, "IN", "A", "10.0.0.9"))

    assert read_answer(response, "A") == Answer(("10.0.0.9",), 10.0)


def test_overrides_win_and_may_move_the_port() -> None:
    resolver = Resolver(
        (ResolveOverride("a.example", 80, "127.0.0.1", 8080), ResolveOverride("b.example", None, "127.0.0.2", None)),
        system=SystemNames(),
    )
    assert resolver.override("A.example.", 80) == ("127.0.0.1", 8080)
    assert resolver.override("a.example", 443) is None
    assert resolver.override("b.example", 443) == ("127.0.0.2", 443)
    assert resolver.connect_target("127.0.0.1", 80) == ("127.0.0.1", 8080)
    assert resolver.connect_target("127.0.0.1", 81) == ("127.0.0.1", 81)


def test_what_the_system_says_about_names(tmp_path: Path) -> None:
    conf, hosts = tmp_path / "resolv.conf", tmp_path / "hosts"
    conf.write_text("nameserver 10.0.0.53\nsearch a.svc b.svc\noptions ndots:2\n")
    hosts.write_text("10.1.1.1 db DB.example # comment\n::1 db\n")
    names = read_system_names(str(conf), str(hosts))
    assert names.servers == (("10.0.0.53", 53),)
    assert list(names.candidates("x.y")) == ["x.y.a.svc", "x.y.b.svc", "x.y"]
    assert next(names.candidates("x.y.z")) == "x.y.z"
    assert names.addresses("db.EXAMPLE.", wants_v6=False) == ("10.1.1.1",)
    assert names.addresses("db", wants_v6=True) == ("::1",)
    assert read_system_names(str(tmp_path / "none"), str(tmp_path / "none")) == SystemNames()


def dns_cluster(kind: str, host: str, **more: Any) -> Cluster:
    endpoint = LbEndpoint(endpoint=Endpoint(address=SocketAddress(address=host, port_value=80)))
    assignment = ClusterLoadAssignment(endpoints=(LocalityLbEndpoints(lb_endpoints=(endpoint,)),))
    return Cluster(name="c", type=kind, load_assignment=assignment, dns_lookup_family="V4_ONLY", **more)


def runtime(cluster: Cluster, resolver: Resolver) -> ClusterRuntime:
    environment = ClusterEnvironment(asyncio.get_running_loop(), resolver, random.Random(1), SecretStore())
    return ClusterRuntime(cluster, environment)


def changed(cluster: ClusterRuntime) -> asyncio.Event:
    """Set when the cluster's hosts change the next time."""
    event, before = asyncio.Event(), cluster.source.on_change

    def notice() -> None:
        before()
        event.set()

    cluster.source.on_change = notice
    return event


@pytest.mark.parametrize(("kind", "count"), [("STRICT_DNS", 2), ("LOGICAL_DNS", 1)])
@on_a_loop
async def test_a_cluster_has_the_addresses_of_its_name(kind: str, count: int) -> None:
    async with dns_server(ZONE) as (_, resolver):
        cluster = runtime(dns_cluster(kind, "a.example"), resolver)
        assert cluster.choose_host(LoadBalancerContext()) is None
        await cluster.source.ready
        assert len(cluster.hosts) == count
        host = cluster.choose_host(LoadBalancerContext())
        assert host is not None
        assert host.hostname == "a.example"
        cluster.close()


@on_a_loop
async def test_a_name_is_looked_up_again_when_its_life_is_over_and_hosts_that_stay_keep_their_counters() -> None:
    zone = {("a.example", "A"): ["10.0.0.1", "10.0.0.2"]}
    async with dns_server(zone) as (_, resolver):
        plan = dns_cluster("STRICT_DNS", "a.example", dns_refresh_rate=timedelta(milliseconds=20))
        cluster = runtime(plan, resolver)
        await cluster.source.ready
        (stays,) = (host for host in cluster.hosts if host.address == "10.0.0.1:80")
        event = changed(cluster)
        zone["a.example", "A"] = ["10.0.0.1", "10.0.0.3"]
        await event.wait()
        assert {host.address for host in cluster.hosts} == {"10.0.0.1:80", "10.0.0.3:80"}
        assert stays in cluster.hosts
        cluster.close()


@pytest.mark.parametrize(
    ("kind", "rcode", "is_left"),
    [
        ("STRICT_DNS", dns.rcode.SERVFAIL, True),
        ("STRICT_DNS", dns.rcode.NXDOMAIN, False),
        ("STRICT_DNS", dns.rcode.NOERROR, False),
        ("LOGICAL_DNS", dns.rcode.SERVFAIL, True),
        ("LOGICAL_DNS", dns.rcode.NXDOMAIN, True),
        ("LOGICAL_DNS", dns.rcode.NOERROR, True),
    ],
)
@on_a_loop
async def test_what_becomes_of_the_hosts_when_the_name_has_no_address_any_more(
    kind: str, rcode: dns.rcode.Rcode, is_left: bool
) -> None:
    """As with a real Envoy 1.39: that a name is gone is an answer, a failing server is none."""

    zone = {("a.example", "A"): ["10.0.0.1"]}
    async with dns_server(zone) as (server, resolver):
        plan = dns_cluster(kind, "a.example", dns_refresh_rate=timedelta(milliseconds=20))
        cluster = runtime(plan, resolver)
        await cluster.source.ready
        server.rcode, asked = rcode, len(server.questions)
        zone.clear()
        await server.asked(asked + 2)
        assert [host.address for host in cluster.hosts] == (["10.0.0.1:80"] if is_left else [])
        cluster.close()


@on_a_loop
async def test_the_host_of_a_logical_cluster_stays_when_its_address_changes() -> None:
    zone = {("a.example", "A"): ["10.0.0.1"]}
    async with dns_server(zone) as (server, resolver):
        plan = dns_cluster("LOGICAL_DNS", "a.example", dns_refresh_rate=timedelta(milliseconds=20))
        cluster = runtime(plan, resolver)
        await cluster.source.ready
        (host,) = cluster.hosts
        zone["a.example", "A"], asked = ["10.0.0.2"], len(server.questions)
        await server.asked(asked + 2)
        assert cluster.hosts == (host,)
        assert host.target == ("10.0.0.2", 80)
        cluster.close()


@on_a_loop
async def test_a_forward_proxy_resolves_each_name_once() -> None:
    async with dns_server(ZONE) as (server, resolver):
        cluster = runtime(forward_proxy(), resolver)
        host = await cluster.resolve_host("A.example:8443", 443)
        again = await cluster.resolve_host("a.example:8443", 443)
        assert host is again
        assert isinstance(host, Host)
        assert host.address in ("10.0.0.1:8443", "10.0.0.2:8443")
        literal = await cluster.resolve_host("10.9.9.9", 443)
        assert isinstance(literal, Host)
        assert literal.address == "10.9.9.9:443"
        assert server.questions.count(("a.example", "A")) == 1
        cluster.close()


def forward_proxy(**config: Any) -> Cluster:
    """A cluster that asks for IPv4 addresses alone, as istiod's do."""
    cache = DnsCacheConfig(name="cache", dns_lookup_family="V4_ONLY", **config)
    return Cluster(
        name="dfp",
        cluster_type=CustomClusterType(typed_config=DynamicForwardProxyClusterConfig(dns_cache_config=cache)),
    )


NOT_RESOLVED = {
    "no such name": (None, "nowhere.example", "cares_norecords:Domain_name_not_found"),
    "no address": (None, "six.example", "cares_norecords:DNS_server_returned_answer_with_no_data"),
    "a failing server": (dns.rcode.SERVFAIL, "a.example", "cares_failure:DNS_server_returned_general_failure"),
    "a server that refuses": (dns.rcode.REFUSED, "a.example", "cares_failure:DNS_server_refused_query"),
}
"""What a real Envoy logs in each case."""


@pytest.mark.parametrize(("rcode", "name", "details"), NOT_RESOLVED.values(), ids=NOT_RESOLVED.keys())
@on_a_loop
async def test_a_forward_proxy_remembers_why_there_is_no_address(
    rcode: dns.rcode.Rcode | None, name: str, details: str
) -> None:
    async with dns_server(ZONE) as (server, resolver):
        cluster = runtime(forward_proxy(), resolver)
        server.rcode = rcode
        assert await cluster.resolve_host(name, 80) == f"dns_resolution_failure{{{details}}}"
        asked = len(server.questions)
        assert await cluster.resolve_host(name, 80) == f"dns_resolution_failure{{{details}}}"
        assert len(server.questions) == asked
        cluster.close()


@pytest.mark.parametrize("authority", ["gateway.mesh", "GATEWAY.mesh:80", "10.0.7.7", "10.244.0.20:8080"])
@on_a_loop
async def test_a_gateway_forwards_no_name_to_itself(authority: str, caplog: pytest.LogCaptureFixture) -> None:
    """By a Service's name or address, or by the pod's own; Envoy would go round."""

    resolver = Resolver()
    resolver.know_services({"gateway.mesh": ("10.0.7.7",)}, {("10.0.7.7", 80): [("10.244.0.20", 8080)]})
    cluster = runtime(forward_proxy(), resolver)
    assert isinstance(await cluster.resolve_host("10.0.7.7:8443", 80), Host)
    cluster.environment.own_listeners = frozenset({("10.244.0.20", 8080)})
    for _ in range(2):
        assert await cluster.resolve_host(authority, 80) == f"dns_resolution_failure{{{LOOP}}}"
    assert isinstance(await cluster.resolve_host("10.0.7.7:443", 80), Host)
    assert [record.getMessage().partition(": ")[2][:12] for record in caplog.records] == ["LOOP refused"]
    cluster.close()


@on_a_loop
async def test_a_forward_proxy_keeps_so_many_names_and_one() -> None:
    async with dns_server(ZONE) as (_, resolver):
        cluster = runtime(forward_proxy(max_hosts=1), resolver)
        found = [await cluster.resolve_host(name, 80) for name in ("a.example", "b.example", "c.example")]
        assert found[2] == TOO_MANY
        assert found[1] != TOO_MANY
        cluster.close()


@on_a_loop
async def test_a_forward_proxys_host_stays_when_its_address_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections go on, and new ones go to the new address: a real Envoy drains nothing."""
    monkeypatch.setattr(forward_proxy_hosts, "LEAST_REFRESH", 0.01)

    zone = {("a.example", "A"): ["10.0.0.1"]}
    async with dns_server(zone, ttl=0) as (server, resolver):
        cluster = runtime(forward_proxy(), resolver)
        host = await cluster.resolve_host("a.example", 80)
        zone["a.example", "A"] = ["10.0.0.2"]
        asked = len(server.questions)
        await server.asked(asked + 2)
        assert isinstance(host, Host)
        assert await cluster.resolve_host("a.example", 80) is host
        assert host.address == "10.0.0.2:80"
        cluster.close()


@on_a_loop
async def test_who_waits_for_a_name_gets_it_even_if_the_cluster_is_closed_meanwhile() -> None:
    """As over a reload: live connections keep their clusters."""

    async with dns_server(ZONE) as (server, resolver):
        cluster = runtime(forward_proxy(), resolver)
        waiting = asyncio.ensure_future(cluster.resolve_host("a.example", 80))
        await server.asked(1)
        cluster.close()
        assert isinstance(await waiting, Host)


AUTHORITIES: dict[str, tuple[str, int]] = {
    "a.example": ("a.example", 80),
    "A.example:81": ("a.example", 81),
    "[::1]:82": ("::1", 82),
    "::1": ("::1", 80),
}


def test_a_port_that_is_none_belongs_to_the_name() -> None:
    assert split_authority(f"a:{'1' * 5000}", 80) == (f"a:{'1' * 5000}", 80)


@pytest.mark.parametrize(("text", "parts"), AUTHORITIES.items(), ids=AUTHORITIES.keys())
def test_authorities_are_split(text: str, parts: tuple[str, int]) -> None:
    assert split_authority(text, 80) == parts
