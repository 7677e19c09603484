"""Load balancing: shares, priorities, panic, localities, consistent hashes."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from sandbox.match.endpoint_picker import EndpointPicker
from sandbox.match.facts import RequestFacts
from sandbox.match.hash_policy import compile_hash_policy, made_cookie
from sandbox.match.priority_load import spread_load
from sandbox.match.xxhash64 import xxhash64
from sandbox.plan.base import Locality, Percent
from sandbox.plan.cluster import (
    Cluster,
    ClusterLoadAssignment,
    CommonLbConfig,
    LeastRequestLbConfig,
    LocalityLbEndpoints,
    LocalityWeightedLbConfig,
    MaglevLbConfig,
    RingHashLbConfig,
    RoundRobinLbConfig,
    SlowStartConfig,
)
from sandbox.plan.route import (
    HashPolicy,
    HashPolicyConnectionProperties,
    HashPolicyCookie,
    HashPolicyHeader,
    HashPolicyQueryParameter,
)

NO_PANIC = CommonLbConfig(healthy_panic_threshold=Percent(value=0))


class FakeHost:
    def __init__(self, address: str, weight: int = 1, priority: int = 0, **more: Any) -> None:
        self.address = address
        self.weight = weight
        self.priority = priority
        self.locality: Locality | None = more.get("locality")
        self.healthy: bool = more.get("healthy", True)
        self.active_requests: int = more.get("active_requests", 0)
        self.created: float = more.get("created", -1000.0)


def _picker(cluster: Cluster, *hosts: FakeHost) -> EndpointPicker[FakeHost]:
    picker: EndpointPicker[FakeHost] = EndpointPicker(cluster, random.Random(7))
    picker.set_hosts(hosts)
    return picker


def _counts(picker: EndpointPicker[FakeHost], times: int, now: float = 0.0) -> Counter[str]:
    found = Counter[str]()
    for _ in range(times):
        host = picker.pick(now)
        found[host.address if host is not None else "none"] += 1
    return found


def test_round_robin_takes_turns() -> None:
    assert _counts(_picker(Cluster(), *map(FakeHost, "abc")), 300) == {"a": 100, "b": 100, "c": 100}


def test_round_robin_keeps_weights_exactly() -> None:
    picker = _picker(Cluster(), FakeHost("a", 3), FakeHost("b", 1))
    assert _counts(picker, 400) == {"a": 300, "b": 100}


def test_weighted_turns_begin_anywhere_in_their_cycle() -> None:
    """Envoy, started often, begins at each of the eight places of this cycle (weights 1, 2 and 5)."""
    hosts = [FakeHost("a", 1), FakeHost("b", 2), FakeHost("c", 5)]
    begins = set()
    for seed in range(200):
        picker: EndpointPicker[FakeHost] = EndpointPicker(Cluster(), random.Random(seed))
        picker.set_hosts(hosts)
        begins.add("".join(host.address for _ in range(8) if (host := picker.pick(0.0)) is not None))
    cycle = "ccbccabc"
    assert begins == {cycle[at:] + cycle[:at] for at in range(8)}


def test_round_robin_goes_on_after_an_update() -> None:
    hosts = [FakeHost("a"), FakeHost("b")]
    picker = _picker(Cluster(), *hosts)
    first = picker.pick(0.0)
    picker.set_hosts(hosts)
    assert picker.pick(0.0) is not first


def test_least_request_prefers_the_idle_host() -> None:
    cluster = Cluster(lb_policy="LEAST_REQUEST", least_request_lb_config=LeastRequestLbConfig(choice_count=10))
    picker = _picker(cluster, FakeHost("busy", active_requests=50), FakeHost("idle"))
    assert _counts(picker, 200)["idle"] > 190


def test_weighted_least_request_divides_by_the_requests_under_way() -> None:
    picker = _picker(Cluster(lb_policy="LEAST_REQUEST"), FakeHost("busy", 2, active_requests=3), FakeHost("idle", 1))
    counts = _counts(picker, 300)
    assert counts["idle"] == pytest.approx(200, abs=2)


def test_random_reaches_every_host() -> None:
    counts = _counts(_picker(Cluster(lb_policy="RANDOM"), *map(FakeHost, "abc")), 600)
    assert min(counts.values()) > 150


def test_the_same_seed_gives_the_same_choices() -> None:
    cluster = Cluster(lb_policy="RANDOM")
    hosts = [FakeHost(name) for name in "abc"]
    assert _counts(_picker(cluster, *hosts), 20) == _counts(_picker(cluster, *hosts), 20)


def test_without_healthy_hosts_and_without_panic_there_is_none() -> None:
    assert _counts(_picker(Cluster(common_lb_config=NO_PANIC), FakeHost("a", healthy=False)), 3) == {"none": 3}
    assert _counts(_picker(Cluster(common_lb_config=NO_PANIC)), 3) == {"none": 3}


def test_in_panic_health_is_ignored() -> None:
    picker = _picker(Cluster(), FakeHost("a", healthy=False), FakeHost("b", healthy=False), FakeHost("c"))
    assert _counts(picker, 300) == {"a": 100, "b": 100, "c": 100}


LOADS = {
    "one whole priority": ([(4, 4)], 0, [(100, False)]),
    "overprovisioned": ([(3, 4), (4, 4)], 0, [(100, False), (0, False)]),
    "spills over": ([(1, 2), (2, 2)], 0, [(70, False), (30, False)]),
    "nothing healthy, no panic": ([(0, 2), (0, 2)], 0, [(100, False), (0, False)]),
    "all in panic: by size": ([(0, 1), (0, 3)], 50, [(25, True), (75, True)]),
    "no panic while all together suffice": ([(1, 4), (4, 4)], 50, [(35, False), (65, False)]),
    "one in panic": ([(1, 4), (1, 4)], 50, [(50, True), (50, True)]),
}


@pytest.mark.parametrize(("counts", "threshold", "loads"), LOADS.values(), ids=list(LOADS))
def test_load_spreads_over_priorities(
    counts: list[tuple[int, int]], threshold: float, loads: list[tuple[int, bool]]
) -> None:
    assert [tuple(load) for load in spread_load(counts, threshold)] == loads


def test_a_failed_priority_hands_over_to_the_next() -> None:
    picker = _picker(Cluster(common_lb_config=NO_PANIC), FakeHost("a", healthy=False), FakeHost("b", priority=1))
    assert _counts(picker, 10) == {"b": 10}


def test_excluded_priorities_and_tried_hosts_are_avoided() -> None:
    first, second = FakeHost("a"), FakeHost("b", priority=1)
    picker = _picker(Cluster(common_lb_config=NO_PANIC), first, second)
    assert picker.pick(0.0, excluded_priorities=frozenset({0})) is second
    assert picker.pick(0.0, excluded_priorities=frozenset({0, 1})) is first
    other = FakeHost("c")
    picker.set_hosts([first, other])
    assert {picker.pick(0.0, tried=[first], attempts=5) for _ in range(10)} == {other}
    picker.set_hosts([first])
    assert picker.pick(0.0, tried=[first], attempts=5) is first


def test_localities_share_by_weight_and_health() -> None:
    near, far = Locality(region="near"), Locality(region="far")
    groups = (
        LocalityLbEndpoints(locality=near, load_balancing_weight=80),
        LocalityLbEndpoints(locality=far, load_balancing_weight=20),
    )
    cluster = Cluster(
        common_lb_config=CommonLbConfig(
            healthy_panic_threshold=Percent(value=0), locality_weighted_lb_config=LocalityWeightedLbConfig()
        ),
        load_assignment=ClusterLoadAssignment(endpoints=groups),
    )
    hosts = [FakeHost("n", locality=near), FakeHost("f1", locality=far), FakeHost("f2", locality=far)]
    assert _counts(_picker(cluster, *hosts), 100) == {"n": 80, "f1": 10, "f2": 10}
    hosts[0].healthy = False
    assert set(_counts(_picker(cluster, *hosts), 100)) == {"f1", "f2"}


def test_slow_start_gives_new_hosts_little_at_first() -> None:
    config = RoundRobinLbConfig(slow_start_config=SlowStartConfig(slow_start_window=timedelta(seconds=100)))
    hosts = [FakeHost("old"), FakeHost("new", created=0.0)]
    picker = _picker(Cluster(round_robin_lb_config=config), *hosts)
    assert _counts(picker, 110, now=1.0)["new"] == pytest.approx(10, abs=2)


def test_slow_start_from_nothing_keeps_a_new_host_waiting() -> None:
    """A real Envoy with ``minimumPercent: 0`` did not choose it once in 1,000 picks, until the window was over."""
    slow = SlowStartConfig(slow_start_window=timedelta(seconds=100), min_weight_percent=Percent(value=0))
    picker: EndpointPicker[FakeHost] = EndpointPicker(
        Cluster(round_robin_lb_config=RoundRobinLbConfig(slow_start_config=slow)), random.Random(7)
    )
    picker.set_hosts([FakeHost("old"), FakeHost("new", created=0.0)], now=0.0)
    assert _counts(picker, 1000, now=50.0) == {"old": 1000}


HASHES = {
    "ring hash": Cluster(lb_policy="RING_HASH", ring_hash_lb_config=RingHashLbConfig(minimum_ring_size=1024)),
    "maglev": Cluster(lb_policy="MAGLEV", maglev_lb_config=MaglevLbConfig(table_size=1009)),
}


@pytest.mark.parametrize("cluster", HASHES.values(), ids=list(HASHES))
def test_a_hash_always_finds_the_same_host_and_few_move(cluster: Cluster) -> None:
    hosts = [FakeHost(f"10.0.0.{index}:80") for index in range(5)]
    keys = [xxhash64(b"%d" % index) for index in range(500)]
    picker = _picker(cluster, *hosts)
    before = [picker.pick(0.0, key) for key in keys]
    assert before == [picker.pick(0.0, key) for key in keys]
    shares = Counter(host.address for host in before if host is not None)
    assert len(shares) == 5
    assert max(shares.values()) < 200
    picker.set_hosts(hosts[:4])
    after = [picker.pick(0.0, key) for key in keys]
    moved = sum(1 for old, new in zip(before, after, strict=True) if old is not new)
    assert moved < 250


USERS = [b"user%d" % number for number in range(1, 49) if number % 7]
RECORDED = {
    "ring hash": (Cluster(lb_policy="RING_HASH"), (1, 1, 1, 1, 1), "252221241151553532423444144525215451544111"),
    "ring hash, weighted": (
        Cluster(lb_policy="RING_HASH", ring_hash_lb_config=RingHashLbConfig(minimum_ring_size=100)),
        (1, 2, 3, 4, 5),
        "113314345153425345455335423455353432343554",
    ),
    "maglev": (Cluster(lb_policy="MAGLEV"), (1, 1, 1, 1, 1), "221511415444421543223432441524215214414332"),
    "maglev, weighted": (
        Cluster(lb_policy="MAGLEV", maglev_lb_config=MaglevLbConfig(table_size=1009)),
        (1, 2, 3, 4, 5),
        "252434352354452443244535412355243531543555",
    ),
}
"""The last digits of the hosts 127.0.0.1:18801 to 18805 that a real Envoy chose for the header values ``USERS``."""


@pytest.mark.parametrize(("cluster", "weights", "picks"), RECORDED.values(), ids=list(RECORDED))
def test_hashed_picks_are_those_of_a_real_envoy(cluster: Cluster, weights: tuple[int, ...], picks: str) -> None:
    picker = _picker(cluster, *(FakeHost(f"127.0.0.1:{18801 + i}", weight) for i, weight in enumerate(weights)))
    chosen = [picker.pick(0.0, xxhash64(user)) for user in USERS]
    assert "".join(host.address[-1] for host in chosen if host is not None) == picks


def _fallbacks(cluster: Cluster, addresses: list[str], key: int) -> list[str]:
    hosts = [FakeHost(address) for address in addresses]
    picker = _picker(cluster, *hosts)
    tried: list[FakeHost] = []
    for _ in hosts:
        host = picker.pick(0.0, key, tried, attempts=5)
        assert host is not None
        tried.append(host)
    return [host.address for host in tried]


@pytest.mark.parametrize("policy", ["RING_HASH", "MAGLEV"])
def test_a_retry_leaves_the_host_of_its_hash(policy: Any) -> None:
    addresses = [f"127.0.0.{number}:80" for number in range(2, 7)]
    distinct = [len(set(_fallbacks(Cluster(lb_policy=policy), addresses, xxhash64(user))[:2])) for user in USERS]
    assert distinct.count(2) > 40


def test_maglev_does_not_depend_on_the_order_of_hosts() -> None:
    addresses = [f"127.0.0.{number}:80" for number in (10, 2, 9, 1)]
    cluster = Cluster(lb_policy="MAGLEV", maglev_lb_config=MaglevLbConfig(table_size=503))
    one, other = (_picker(cluster, *map(FakeHost, order)) for order in (addresses, sorted(addresses)))
    for user in USERS:
        first, second = one.pick(0.0, xxhash64(user)), other.pick(0.0, xxhash64(user))
        assert first is not None
        assert second is not None
        assert first.address == second.address


XXHASHES = {
    b"": 0xEF46DB3751D8E999,
    b"abc": 0x44BC2CF5AD770999,
    b"Nobody inspects the spammish repetition": 0xFBCEA83C8A378BF1,
}


@pytest.mark.parametrize(("data", "value"), XXHASHES.items(), ids=str)
def test_xxhash64_is_that_of_its_specification(data: bytes, value: int) -> None:
    assert xxhash64(data) == value


def _facts(**parts: Any) -> RequestFacts:
    return RequestFacts(b"GET", parts.get("path", b"/"), b"h", b"http", parts.get("headers", []))


def test_hash_policies_combine_in_order_and_stop_at_a_terminal_one() -> None:
    header = HashPolicy(header=HashPolicyHeader(header_name="X-User"))
    source = HashPolicy(connection_properties=HashPolicyConnectionProperties(source_ip=True))
    both = compile_hash_policy((header, source))
    assert both is not None
    one = xxhash64(b"joe")
    facts = _facts(headers=[(b"x-user", b"joe")])
    expected = ((one << 1 | one >> 63) & (2**64 - 1)) ^ xxhash64(b"10.0.0.1")
    assert both(facts, "10.0.0.1") == expected
    assert both(_facts(), "10.0.0.1") == xxhash64(b"10.0.0.1")
    final = compile_hash_policy((HashPolicy(header=header.header, terminal=True), source))
    assert final is not None
    assert final(facts, "10.0.0.1") == one


def test_repeated_headers_are_hashed_in_sorted_order_each_the_seed_of_the_next() -> None:
    policy = compile_hash_policy((HashPolicy(header=HashPolicyHeader(header_name="x-user")),))
    assert policy is not None
    facts = _facts(headers=[(b"x-user", b"b"), (b"x-user", b"a")])
    assert policy(facts, "") == xxhash64(b"b", xxhash64(b"a"))


def test_hash_of_cookie_and_query() -> None:
    cookie = compile_hash_policy((HashPolicy(cookie=HashPolicyCookie(name="user")),))
    query = compile_hash_policy((HashPolicy(query_parameter=HashPolicyQueryParameter(name="u")),))
    assert cookie is not None
    assert query is not None
    assert cookie(_facts(headers=[(b"cookie", b'a=b; user="joe"; c=d')]), "") == xxhash64(b"joe")
    assert cookie(_facts(), "") is None
    assert query(_facts(path=b"/?u=joe"), "") == xxhash64(b"joe")
    assert compile_hash_policy(()) is None


def test_a_made_cookie_has_its_lifetime_and_path() -> None:
    value, header = made_cookie(HashPolicyCookie(name="user", ttl=timedelta(seconds=5), path="/a"), "1.1.1.1:1", "x")
    assert header == b'user="' + value + b'"; Max-Age=5; Path=/a; HttpOnly'
