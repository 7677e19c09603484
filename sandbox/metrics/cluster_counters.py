"""Envoy's own counters of a cluster, by Envoy's names; those that this proxy can tell truthfully."""

from __future__ import annotations


class ClusterCounters:
    """What has happened so far; whoever does it adds to it."""

    __slots__ = ("codes", "connect_failures", "connect_timeouts", "connections", "requests", "retries", "timeouts")

    def __init__(self) -> None:
        self.connections = 0
        """``upstream_cx_total``."""
        self.connect_failures = 0
        """``upstream_cx_connect_fail``; timeouts are among them."""
        self.connect_timeouts = 0
        self.requests = 0
        """``upstream_rq_total``: every try that was given to a connection."""
        self.retries = 0
        self.timeouts = 0
        self.codes: dict[int, int] = {}
        """``upstream_rq_200`` and so on: the status that a request ended with."""
