"""Circuit breakers: how much of a cluster may be under way at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox.plan.cluster import Thresholds

if TYPE_CHECKING:
    from sandbox.plan.cluster import Cluster, RetryBudget

DEFAULT_LIMIT: Final = 1024
DEFAULT_MAX_RETRIES: Final = 3
DEFAULT_RETRY_PERCENT: Final = 20.0


class Limit:
    """One circuit breaker: how many at once."""

    __slots__ = ("active", "maximum")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.active = 0

    @property
    def is_full(self) -> bool:
        """No further one may begin."""
        return self.active >= self.maximum


class RetryLimit(Limit):
    """Retries by a budget: a share of the requests that run or wait (``RetryBudgetImpl``), whatever the interval."""

    __slots__ = ("_least", "_of", "_share")

    def __init__(self, budget: RetryBudget, of: tuple[Limit, ...]) -> None:
        super().__init__(0)
        percent = budget.budget_percent
        self._share = (DEFAULT_RETRY_PERCENT if percent is None else percent.value) / 100
        least = budget.min_retry_concurrency
        self._least = DEFAULT_MAX_RETRIES if least is None else least
        self._of = of

    @property
    def is_full(self) -> bool:
        """No further one may begin."""
        return self.active >= max(int(self._share * sum(each.active for each in self._of)), self._least)


class ResourceManager:
    """Circuit breakers of a cluster (default priority): who begins adds to ``active``, who ends takes off again."""

    __slots__ = ("connections", "pending_requests", "requests", "retries")

    def __init__(self, plan: Cluster) -> None:
        thresholds = plan.circuit_breakers.thresholds if plan.circuit_breakers else ()
        first = thresholds[0] if thresholds else Thresholds()

        def limit(maximum: int | None, default: int) -> Limit:
            return Limit(default if maximum is None else maximum)

        self.connections = limit(first.max_connections, DEFAULT_LIMIT)
        self.pending_requests = limit(first.max_pending_requests, DEFAULT_LIMIT)
        self.requests = limit(first.max_requests, DEFAULT_LIMIT)
        self.retries = limit(first.max_retries, DEFAULT_MAX_RETRIES)
        if first.retry_budget is not None:
            self.retries = RetryLimit(first.retry_budget, (self.requests, self.pending_requests))
