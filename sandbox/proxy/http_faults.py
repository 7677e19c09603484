"""Fault injection (``envoy.filters.http.fault``): delay, then abort, drawn independently."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from sandbox.plan.base import FractionalPercent
    from sandbox.plan.http_connection_manager import HTTPFault


class Fault:
    """One route's fault; ``draw_delay`` and ``draw_abort`` decide for one request."""

    __slots__ = ("abort_share", "delay", "delay_share", "grpc_status", "http_status")

    def __init__(self, plan: HTTPFault) -> None:
        delay, abort = plan.delay, plan.abort
        self.delay = delay.fixed_delay.total_seconds() if delay is not None and delay.fixed_delay is not None else 0.0
        self.delay_share = _share(delay.percentage) if delay is not None else 0.0
        self.abort_share = _share(abort.percentage) if abort is not None else 0.0
        self.grpc_status = abort.grpc_status if abort is not None else None
        self.http_status = abort.http_status if abort is not None else None

    def draw_delay(self, random: random.Random) -> float:
        """Seconds to wait; 0 is no delay."""
        return self.delay if self.delay > 0 and _hit(self.delay_share, random) else 0.0

    def draw_abort(self, random: random.Random) -> bool:
        """Whether the request is aborted."""
        return _hit(self.abort_share, random)

    @property
    def status(self) -> int:
        """The HTTP status of an abort; a gRPC status for a request that is not gRPC is 200."""
        return self.http_status if self.http_status is not None else 200


def _share(percentage: FractionalPercent | None) -> float:
    return 0.0 if percentage is None else percentage.share


def _hit(share: float, random: random.Random) -> bool:
    return share >= 1 or (share > 0 and random.random() < share)
