"""ClusterManager: the clusters of a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.proxy import certificates
from sandbox.proxy.cluster_runtime import ClusterEnvironment, ClusterRuntime

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster


class ClusterManager:
    """All clusters of one snapshot; a runtime is made when first asked for, or at once for names and ages of hosts."""

    def __init__(
        self, plans: Mapping[str, Cluster], environment: ClusterEnvironment, previous: ClusterManager | None = None
    ) -> None:
        """Clusters of the snapshot before (``previous``) that are planned as they were go on as they are."""
        self.plans = plans
        self._environment = environment
        self._running: dict[str, ClusterRuntime] = {}
        self._preloading: asyncio.Future[None] | None = None
        for running in previous.running.values() if previous is not None else ():
            if _goes_on(running, plans.get(running.name)):
                self._running[running.name] = running
        self._warmed = frozenset(self._running)
        for plan in plans.values():
            if plan.type in ("STRICT_DNS", "LOGICAL_DNS") or _starts_slowly(plan):
                self.get(plan.name)

    def get(self, name: str) -> ClusterRuntime | None:
        """The cluster, or ``None`` (flag NC)."""
        running = self._running.get(name)
        if running is None:
            plan = self.plans.get(name)
            if plan is None:
                return None
            running = self._running[name] = ClusterRuntime(plan, self._environment)
        return running

    @property
    def running(self) -> Mapping[str, ClusterRuntime]:
        """Those that have been used so far."""
        return self._running

    async def warm(self, seconds: float) -> None:
        """Waits until every new cluster has its first answer, at most so long."""
        if any(plan.transport_socket is not None or plan.transport_socket_matches for plan in self.plans.values()):
            self._preloading = self._environment.loop.run_in_executor(None, certificates.preload)
        deadline = self._environment.loop.time() + seconds
        for cluster in list(self._running.values()):
            left = deadline - self._environment.loop.time()
            if left <= 0:
                return
            if not cluster.is_ready and cluster.name not in self._warmed:
                await asyncio.wait([cluster.source.ready], timeout=left)

    def close(self, successor: ClusterManager | None = None) -> None:
        """Stops timers and look-ups of all clusters but those that go on in the next snapshot."""
        going_on = successor.running if successor is not None else {}
        for cluster in self._running.values():
            if successor is not None and going_on.get(cluster.name) is cluster:
                cluster.follow(successor.plans[cluster.name])
            else:
                cluster.close()


def _starts_slowly(plan: Cluster) -> bool:
    """Whether the age of hosts counts, which begins with the configuration and not with the first call."""
    return any(
        config is not None and config.slow_start_config is not None
        for config in (plan.round_robin_lb_config, plan.least_request_lb_config)
    )


def _goes_on(running: ClusterRuntime, plan: Cluster | None) -> bool:
    """Whether hosts, breakers, ejections and turns stay, as in Envoy.

    Keys and certificates are read anew, and internal listeners are those of the new plan.
    """
    if plan is None or plan.transport_socket is not None or plan.transport_socket_matches or running.leads_inside:
        return False
    if running.plan is plan or running.plan == plan:
        return True
    return plan.type == "EDS" and running.plan == replace(plan, load_assignment=running.plan.load_assignment)
