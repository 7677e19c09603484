"""Snapshot: all runtimes built from one NodePlan; immutable once built, swapped as a whole."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.plan import NodePlan
    from sandbox.plan.access_log import AccessLog
    from sandbox.proxy.cluster_manager import ClusterManager
    from sandbox.proxy.resolver import Resolver


class StreamLogger:
    """The access logs of one filter or listener, compiled; ``log`` never raises and never blocks."""

    def log(self, info: StreamInfo) -> None:
        """The stream has ended: one line for each log whose filter lets it through, and the subscribers."""
        raise NotImplementedError


class NodeRuntime:
    """What the filters of one node share: plan, clusters, logs, draws. One per snapshot."""

    plan: NodePlan
    clusters: ClusterManager
    resolver: Resolver
    random: random.Random
    """The only source of draws; seeded by ``--seed``."""
    shared: dict[Any, Any]
    """Things that several filters build once for all, e.g. the tables of a route configuration by its name."""
    draining: bool

    def stream_logger(self, access_logs: Sequence[AccessLog]) -> StreamLogger:
        """Compiles the access logs (the same tuple compiles once)."""
        raise NotImplementedError


class Snapshot:
    """A NodeRuntime and its listeners' tables."""

    node: NodeRuntime
    listeners: Mapping[str, object]
