"""Which host of a cluster gets the next connection or request: Envoy's load balancers over host objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from sandbox.match.edf_schedule import EdfSchedule
from sandbox.match.hash_rings import HashRing, MaglevTable
from sandbox.match.priority_load import (
    DEFAULT_PANIC_THRESHOLD,
    OVERPROVISIONING_PERCENT,
    PriorityLoad,
    choose_priority,
    spread_load,
)
from sandbox.plan.base import Locality
from sandbox.plan.cluster import Cluster, SlowStartConfig

DEFAULT_CHOICE_COUNT: Final = 2
DEFAULT_SLOW_START_MINIMUM: Final = 0.1


class RandomSource(Protocol):
    """What is needed of ``random.Random``."""

    def getrandbits(self, k: int, /) -> int:
        """``k`` random bits."""
        ...


class PickableHost(Protocol):
    """What a load balancer reads of a host."""

    address: str
    weight: int
    priority: int
    locality: Locality | None
    healthy: bool
    active_requests: int
    created: float
    """Seconds on the clock of ``now``."""


H = TypeVar("H", bound=PickableHost)
Pick = Callable[[int, int], "H | None"]
"""From a hash, and how many hosts were given up before, to a host; who does not hash heeds neither."""


class EndpointPicker(Generic[H]):
    """The load balancer of one cluster; call ``set_hosts`` whenever a host comes, goes, or changes its health.

    Single threaded; draws come from ``random`` alone, so a seeded source makes the choices repeatable.
    """

    def __init__(self, cluster: Cluster, random: RandomSource) -> None:
        self._cluster = cluster
        self._random = random
        self._seed = random.getrandbits(32)
        common = cluster.common_lb_config
        threshold = common.healthy_panic_threshold if common is not None else None
        self._panic_threshold = DEFAULT_PANIC_THRESHOLD if threshold is None else threshold.value
        self._is_hashed = cluster.lb_policy in ("RING_HASH", "MAGLEV")
        self._locality_weights: dict[tuple[int, Locality | None], int] | None = None
        self.follow(cluster)
        self._slow_start = _SlowStart.of(cluster)
        self.needs_time = self._slow_start is not None
        """Whether ``pick`` looks at the time."""
        self._now = 0.0
        self._turns: dict[object, int] = {}
        self._priorities: list[list[H]] = []
        self._healthy: list[list[H]] = []
        self._loads: list[PriorityLoad] = []
        self._picks: dict[tuple[int, bool], Pick[H]] = {}
        self._only_pick: Pick[H] | None = None
        """Of hosts that all have one priority, where no hash is drawn for them: who picks is known."""

    def follow(self, cluster: Cluster) -> None:
        """The cluster's endpoints are planned anew, and nothing else of it; ``set_hosts`` follows."""
        self._cluster = cluster
        common = cluster.common_lb_config
        if (
            common is not None
            and common.locality_weighted_lb_config is not None
            and cluster.load_assignment is not None
        ):
            self._locality_weights = {
                (group.priority, group.locality): group.load_balancing_weight or 0
                for group in cluster.load_assignment.endpoints
            }

    def set_hosts(self, hosts: Sequence[H], now: float = 0.0) -> None:
        """Take in all hosts now known, and their health: what changes of it later counts from the next call on.

        The first turn of a host that starts slowly is set by its weight at this moment (``refresh``).
        """
        count = max((host.priority for host in hosts), default=0) + 1
        self._priorities = [[host for host in hosts if host.priority == priority] for priority in range(count)]
        self._healthy = [[host for host in members if host.healthy] for members in self._priorities]
        self._loads = self._spread(frozenset())
        self._picks = {}
        self._only_pick = None
        if self._slow_start is not None:
            self._now = now
            self._picks = {(priority, False): self._balance(priority, is_panic=False) for priority in range(count)}

    def _spread(self, excluded: frozenset[int]) -> list[PriorityLoad]:
        counts = [
            (0 if priority in excluded else len(healthy), len(hosts))
            for priority, (healthy, hosts) in enumerate(zip(self._healthy, self._priorities, strict=True))
        ]
        return spread_load(counts, self._panic_threshold)

    def has_healthy_beyond(self, excluded: frozenset[int]) -> bool:
        """Whether a priority that is not excluded has a healthy host."""
        return any(healthy for priority, healthy in enumerate(self._healthy) if priority not in excluded)

    def pick(
        self,
        now: float,
        hash_key: int | None = None,
        tried: Sequence[H] = (),
        attempts: int = 0,
        excluded_priorities: frozenset[int] = frozenset(),
    ) -> H | None:
        """The host to use; ``None`` is "no healthy upstream".

        ``now`` in seconds, for slow start. A host of ``tried`` is given up ``attempts`` times, then taken anyway.
        """
        self._now = now
        if self._only_pick is not None and not tried:
            return self._only_pick(0, 0)
        loads = self._loads
        key = 0
        if self._is_hashed:
            key = self._random.getrandbits(64) if hash_key is None else hash_key
        elif excluded_priorities and not excluded_priorities.issuperset(range(len(loads))):
            loads = self._spread(excluded_priorities)
        host = self._pick_once(loads, key, 0)
        given_up = 0
        while tried and host is not None and given_up < attempts and any(host is other for other in tried):
            given_up += 1
            host = self._pick_once(loads, key, given_up)
        return host

    def _pick_once(self, loads: list[PriorityLoad], hash_key: int, given_up: int) -> H | None:
        if not loads:
            return None
        priority = 0
        if len(loads) > 1:
            priority = choose_priority(loads, hash_key if self._is_hashed else self._random.getrandbits(64))
        key = (priority, loads[priority].is_panic)
        pick = self._picks.get(key)
        if pick is None:
            pick = self._picks[key] = self._balance(*key)
            if len(self._loads) == 1 and not self._is_hashed:
                self._only_pick = pick
        return pick(hash_key, given_up)

    def _balance(self, priority: int, is_panic: bool) -> Pick[H]:
        """The balancer for one priority; in panic the health of hosts is ignored."""
        everyone = self._priorities[priority]
        hosts = everyone if is_panic else self._healthy[priority]
        if self._is_hashed:
            return self._balance_by_hash(hosts, priority)
        if self._locality_weights is not None and not is_panic:
            by_locality = self._balance_localities(priority, everyone)
            if by_locality is not None:
                return by_locality
        return self._balance_hosts((priority, is_panic), hosts)

    def _balance_localities(self, priority: int, everyone: Sequence[H]) -> Pick[H] | None:
        """First a locality by its weight, made smaller by its lack of health; then a host in it."""
        weights: list[tuple[float, Pick[H]]] = []
        healthy_hosts = _by_locality(self._healthy[priority])
        for locality, members in _by_locality(everyone).items():
            healthy = healthy_hosts.get(locality, [])
            weight = (self._locality_weights or {}).get((priority, locality), 0)
            if healthy and weight:
                share = min(1.0, OVERPROVISIONING_PERCENT / 100 * len(healthy) / len(members))
                weights.append((weight * share, self._balance_hosts((priority, locality), healthy)))
        if not weights:
            return None
        schedule = EdfSchedule(weights, lambda entry: entry[0], self._seed)

        def pick(hash_key: int, given_up: int) -> H | None:
            entry = schedule.pick()
            return None if entry is None else entry[1](hash_key, given_up)

        return pick

    def _balance_hosts(self, key: object, hosts: Sequence[H]) -> Pick[H]:
        """Hosts of one group, under the cluster's policy. ``key`` keeps the turn of round robin over updates."""
        if not hosts:
            return lambda _hash, _given_up: None
        policy = self._cluster.lb_policy
        random = self._random
        if policy == "RANDOM":
            return lambda _hash, _given_up: hosts[random.getrandbits(64) % len(hosts)]
        is_even = len({host.weight for host in hosts}) == 1
        if not is_even or (self._slow_start is not None and self._slow_start.covers(hosts, self._now)):
            return self._balance_by_weight(hosts)
        if policy == "LEAST_REQUEST":
            return self._balance_by_requests(hosts)
        turns = self._turns

        def next_in_turn(_hash: int, _given_up: int) -> H:
            turn = turns.get(key, self._seed)
            turns[key] = turn + 1
            return hosts[turn % len(hosts)]

        return next_in_turn

    def _balance_by_requests(self, hosts: Sequence[H]) -> Pick[H]:
        """The least loaded of a few drawn at random (with replacement); the first drawn wins a tie."""
        config = self._cluster.least_request_lb_config
        choices = (config.choice_count if config is not None else None) or DEFAULT_CHOICE_COUNT
        getrandbits = self._random.getrandbits
        count = len(hosts)
        if count == 1:
            only = hosts[0]
            return lambda _hash, _given_up: only

        def pick(_hash: int, _given_up: int) -> H:
            best = hosts[getrandbits(64) % count]
            for _ in range(choices - 1):
                other = hosts[getrandbits(64) % count]
                if other.active_requests < best.active_requests:
                    best = other
            return best

        return pick

    def _balance_by_weight(self, hosts: Sequence[H]) -> Pick[H]:
        by_requests = self._cluster.lb_policy == "LEAST_REQUEST"
        slow_start = self._slow_start

        def weight(host: H) -> float:
            value = float(host.weight)
            if by_requests:
                value /= host.active_requests + 1
            return value if slow_start is None else value * slow_start.factor(host, self._now)

        schedule = EdfSchedule(hosts, weight, self._seed)
        return lambda _hash, _given_up: schedule.pick()

    def _balance_by_hash(self, hosts: Sequence[H], priority: int) -> Pick[H]:
        entries = [(host, host.address.encode(), share) for host, share in self._shares(hosts, priority) if share > 0]
        table: HashRing[H] | MaglevTable[H]
        if self._cluster.lb_policy == "MAGLEV":
            maglev = self._cluster.maglev_lb_config
            table = MaglevTable(entries, maglev.table_size if maglev is not None else None)
        else:
            ring = self._cluster.ring_hash_lb_config
            sizes = (ring.minimum_ring_size, ring.maximum_ring_size) if ring is not None else (None, None)
            table = HashRing(entries, *sizes)
        return table.find

    def _shares(self, hosts: Sequence[H], priority: int) -> list[tuple[H, float]]:
        """Every host's share of the ring: its weight, within its locality's weight where that counts.

        A locality without healthy hosts counts, so that the ring gets longer while it is out (``normalizeWeights``).
        """
        if self._locality_weights is None:
            total = sum(host.weight for host in hosts)
            return [(host, host.weight / total) for host in hosts] if total else []
        weights = {place: weight for (level, place), weight in self._locality_weights.items() if level == priority}
        everything = sum(weights.values())
        if not everything:
            return []
        shares: list[tuple[H, float]] = []
        for locality, members in _by_locality(hosts).items():
            total = sum(host.weight for host in members)
            shares += [(host, weights.get(locality, 0) / everything * host.weight / total) for host in members]
        return shares


def _by_locality(hosts: Sequence[H]) -> dict[Locality | None, list[H]]:
    groups: dict[Locality | None, list[H]] = {}
    for host in hosts:
        groups.setdefault(host.locality, []).append(host)
    return groups


class _SlowStart:
    """New hosts begin with a small weight that grows during a window (``applySlowStartFactor``)."""

    __slots__ = ("_aggression", "_minimum", "_window")

    def __init__(self, config: SlowStartConfig, window: float) -> None:
        self._window = window
        self._aggression = config.aggression.default_value if config.aggression is not None else 1.0
        percent = config.min_weight_percent
        self._minimum = DEFAULT_SLOW_START_MINIMUM if percent is None else percent.value / 100

    @classmethod
    def of(cls, cluster: Cluster) -> _SlowStart | None:
        """The cluster's setting, where its policy has one."""
        by_policy = {
            "ROUND_ROBIN": cluster.round_robin_lb_config,
            "LEAST_REQUEST": cluster.least_request_lb_config,
        }
        lb_config = by_policy.get(cluster.lb_policy)
        config = lb_config.slow_start_config if lb_config is not None else None
        if config is None or not config.slow_start_window:
            return None
        return cls(config, config.slow_start_window.total_seconds())

    def covers(self, hosts: Sequence[PickableHost], now: float) -> bool:
        """Whether one of the hosts is still new."""
        return any(now - host.created < self._window for host in hosts)

    def factor(self, host: PickableHost, now: float) -> float:
        """What the host's weight is multiplied with."""
        age = now - host.created
        if age >= self._window:
            return 1.0
        share = max(age, 0.001) / self._window
        return float(max(share ** (1 / (self._aggression or 1.0)), self._minimum))
