"""Outlier detection: hosts that fail too often in a row are ejected for a while (Envoy's ``OutlierDetectorImpl``)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sandbox.metrics.cluster_counters import OutlierCounters

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster, HttpProtocolOptions
    from sandbox.proxy.host import Host

GATEWAY_STATUSES: Final = (502, 503, 504)
DEFAULT_CONSECUTIVE: Final = 5
DEFAULT_INTERVAL: Final = 10.0
DEFAULT_BASE_EJECTION: Final = 30.0
DEFAULT_MAX_EJECTION: Final = 300.0
DEFAULT_MAX_PERCENT: Final = 10


class HostOutlierState:
    """Counters of one host; ``ejected_at`` is monotonic seconds, ``None`` while it takes traffic."""

    __slots__ = ("ejected_at", "ejections", "errors", "gateway_failures", "local_failures")

    def __init__(self) -> None:
        self.errors = 0
        self.gateway_failures = 0
        self.local_failures = 0
        self.ejected_at: float | None = None
        self.ejections = 0
        """How many times the base ejection time is held: grows with every ejection, shrinks while all is well."""


class OutlierDetector:
    """The detector of one cluster; ``on_change`` gets a host that is ejected, or ``None`` when some are back."""

    def __init__(
        self,
        cluster: Cluster,
        loop: asyncio.AbstractEventLoop,
        draws: random.Random,
        on_change: Callable[[Host | None], None],
        counters: OutlierCounters | None = None,
    ) -> None:
        plan = cluster.outlier_detection
        if plan is None:
            raise ValueError(f"{cluster.name} has no outlier detection")
        self._loop = loop
        self._random = draws
        self._on_change = on_change
        self._counters = counters or OutlierCounters()
        self._hosts: Sequence[Host] = ()
        self._consecutive_5xx = _number(plan.consecutive_5xx, DEFAULT_CONSECUTIVE)
        self._consecutive_gateway = _number(plan.consecutive_gateway_failure, DEFAULT_CONSECUTIVE)
        self._consecutive_local = _number(plan.consecutive_local_origin_failure, DEFAULT_CONSECUTIVE)
        self._enforce_5xx = _number(plan.enforcing_consecutive_5xx, 100)
        self._enforce_gateway = _number(plan.enforcing_consecutive_gateway_failure, 0)
        self._enforce_local = _number(plan.enforcing_consecutive_local_origin_failure, 100)
        self._splits = plan.split_external_local_origin_errors
        self._max_percent = _number(plan.max_ejection_percent, DEFAULT_MAX_PERCENT)
        self._interval = _seconds(plan.interval, DEFAULT_INTERVAL)
        self._base = _seconds(plan.base_ejection_time, DEFAULT_BASE_EJECTION)
        self._max_time = max(DEFAULT_MAX_EJECTION, self._base)
        self._timer: asyncio.TimerHandle | None = loop.call_later(self._interval, self._sweep)

    def watch(self, hosts: Sequence[Host]) -> None:
        """These are the cluster's hosts now."""
        self._hosts = hosts
        for host in hosts:
            if host.outlier is None:
                host.outlier = HostOutlierState()
        self._counters.active = self._ejected()

    def close(self) -> None:
        """No sweep any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def put_response(self, host: Host, status: int) -> None:
        """An HTTP answer of the host."""
        state = host.outlier
        if state is None:
            return
        if not 500 <= status < 600:
            state.errors = state.gateway_failures = 0
            if not self._splits:
                state.local_failures = 0
            return
        state.errors += 1
        if status in GATEWAY_STATUSES:
            state.gateway_failures += 1
            if state.gateway_failures == self._consecutive_gateway:
                state.gateway_failures = 0
                self._eject(host, state, "consecutive_gateway_failure", self._enforce_gateway)
        else:
            state.gateway_failures = 0
        if state.errors == self._consecutive_5xx:
            state.errors = 0
            self._eject(host, state, "consecutive_5xx", self._enforce_5xx)

    def put_local_failure(self, host: Host, *, is_timeout: bool) -> None:
        """We could not connect, or the connection broke: counts as 503 (504 for a time-out) unless split."""
        state = host.outlier
        if state is None:
            return
        if not self._splits:
            self.put_response(host, 504 if is_timeout else 503)
            return
        state.local_failures += 1
        if state.local_failures == self._consecutive_local:
            state.local_failures = 0
            self._eject(host, state, "consecutive_local_origin_failure", self._enforce_local)

    def put_local_success(self, host: Host) -> None:
        """A connection came about."""
        if host.outlier is not None:
            host.outlier.local_failures = 0

    def put_tcp_success(self, host: Host) -> None:
        """A TCP connection came about: without split this is a success like any answer."""
        if self._splits:
            self.put_local_success(host)
        else:
            self.put_response(host, 200)

    def _eject(self, host: Host, state: HostOutlierState, kind: str, enforcing: int) -> None:
        if state.ejected_at is not None:
            return
        self._counters.detected[kind] += 1
        if not self._may_eject():
            self._counters.overflows += 1
            return
        if enforcing < 100 and self._random.randrange(100) >= enforcing:
            return
        self._counters.enforced[kind] += 1
        self._counters.active += 1
        state.ejected_at = self._loop.time()
        if state.ejections * self._base < self._max_time + self._base:
            state.ejections += 1
        host.healthy = False
        self._on_change(host)

    def _may_eject(self) -> bool:
        """Whether one more still is within the maximum: a small cluster may lose no host at all."""
        return 100.0 * (self._ejected() + 1) / len(self._hosts) <= self._max_percent

    def _ejected(self) -> int:
        return sum(1 for host in self._hosts if host.outlier is not None and host.outlier.ejected_at is not None)

    def _sweep(self) -> None:
        now = self._loop.time()
        changed = False
        for host in self._hosts:
            state = host.outlier
            if state is None:
                continue
            if state.ejected_at is None:
                state.ejections = max(0, state.ejections - 1)
            elif now >= state.ejected_at + min(self._base * state.ejections, self._max_time):
                state.ejected_at = None
                self._counters.active -= 1
                state.errors = state.gateway_failures = state.local_failures = 0
                host.healthy = True
                changed = True
        if changed:
            self._on_change(None)
        self._timer = self._loop.call_later(self._interval, self._sweep)


def _number(value: int | None, default: int) -> int:
    return default if value is None else value


def _seconds(value: timedelta | None, default: float) -> float:
    return default if value is None else value.total_seconds()


def error_statuses(options: HttpProtocolOptions | None) -> frozenset[int] | None:
    """The statuses that a cluster calls errors, as istiod writes them; ``None`` where it does not say."""
    matcher = options.outlier_detection.error_matcher if options is not None and options.outlier_detection else None
    if matcher is None:
        return None
    rules = matcher.or_match.rules if matcher.or_match is not None else (matcher,)
    matches = [rule.http_response_headers_match for rule in rules]
    texts = [header.string_match for match in matches if match is not None for header in match.headers]
    return frozenset(int(text.exact) for text in texts if text is not None and text.exact)


def counted_status(status: int, errors: frozenset[int] | None) -> int:
    """What outlier detection is told of a response: with ``errors`` these alone are none of success (``router.cc``)."""
    if errors is None:
        return status
    if status not in errors:
        return 200
    return max(status, 500)
