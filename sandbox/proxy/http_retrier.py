"""Retrier: whether another try follows a failed one, and when it starts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sandbox.access_log.grpc_status import MOST_STATUS
from sandbox.match.previous_priorities import PreviousPriorities
from sandbox.wire.decimal_number import decimal_number
from sandbox.wire.http_retries import Reset, RetryRules, RetryState, Verdict

if TYPE_CHECKING:
    from sandbox.proxy.cluster_runtime import ClusterRuntime
    from sandbox.proxy.host import Host
    from sandbox.proxy.http_router_filter import RouterFilter
    from sandbox.proxy.load_balancer import LoadBalancerContext
    from sandbox.wire.http_message import ResponseHead


class Retrier(RetryState):
    """A request's retry policy at work: it flags why no try follows, and keeps the clock of the one that does."""

    __slots__ = ("_cluster", "_filter", "_holds_place", "_priorities", "_timer")

    def __init__(self, router_filter: RouterFilter, rules: RetryRules, cluster: ClusterRuntime) -> None:
        super().__init__(rules)
        self._filter = router_filter
        self._cluster = cluster
        self._holds_place = False
        frequency = rules.priority_update_frequency
        self._priorities = PreviousPriorities(frequency) if frequency else None
        self._timer: asyncio.TimerHandle | None = None

    def give_up(self) -> None:
        """No further tries: the request cannot be sent again."""
        self._leave_place()

    def prepare(self, context: LoadBalancerContext) -> None:
        """A try is about to choose its host."""
        if self._priorities is not None:
            context.priority_excluded = self._priorities.excluded(self._cluster.picker.has_healthy_beyond)

    def tried(self, host: Host) -> None:
        """It has chosen this one."""
        if self._priorities is not None:
            self._priorities.tried(host.priority)

    def retries_response(self, head: ResponseHead) -> bool:
        """Whether another try is on its way instead of this response.

        A gRPC status in the head counts whatever was asked (``RetryStateImpl::wouldRetryFromHeaders``).
        """
        self._leave_place()
        grpc = head.marked.get(b"grpc-status")
        wants = self.wants_status(
            head.status,
            is_rate_limited=b"x-envoy-ratelimited" in head.marked,
            grpc_status=decimal_number(grpc, MOST_STATUS) if grpc is not None else None,
        )
        names = self.rules.header_names
        if names and not wants and "retriable-headers" in self.rules.words:
            wants = any(name in names for name, _ in head.headers)
        return wants and self._retry_or_flag()

    def retries_reset(self, reset: Reset, *, request_started: bool) -> bool:
        """Whether another try is on its way after one that ended without a response."""
        self._leave_place()
        return self.wants_reset(reset, request_started=request_started) and self._retry_or_flag()

    def _retry_or_flag(self) -> bool:
        retries = self._cluster.resources.retries
        verdict = self.decide(may_retry=not retries.is_full)
        stream = self._filter.stream
        if verdict is not Verdict.RETRY:
            self._cluster.counters.retry_overflows += verdict is Verdict.OVERFLOW
            self._cluster.counters.retries_exhausted += verdict is Verdict.EXHAUSTED
            stream.info.response_flags.append(verdict.value)
            return False
        retries.active += 1
        self._holds_place = True
        delay = self.next_delay(stream.manager.random.random)
        self._timer = asyncio.get_running_loop().call_later(delay, self._try_again)
        self._filter.on_retry_scheduled()
        return True

    def _try_again(self) -> None:
        self._timer = None
        self._filter.try_again()

    def _leave_place(self) -> None:
        """A retry counts against the breaker until its outcome is known, not only while it waits (``resetRetry``)."""
        if self._holds_place:
            self._holds_place = False
            self._cluster.resources.retries.active -= 1

    def stop(self) -> None:
        """The request has ended; a try that waits does not come."""
        self._leave_place()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
