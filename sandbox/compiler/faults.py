"""Injected faults of a VirtualService's rule (Istio route.go ``TranslateFault``)."""

from __future__ import annotations

from sandbox.compiler.percentages import fractional, whole
from sandbox.istio import http_fault
from sandbox.istio.grpc_statuses import GRPC_STATUSES
from sandbox.plan.because import Because
from sandbox.plan.http_connection_manager import FaultAbort, FaultDelay, HTTPFault


def translate_fault(fault: http_fault.HTTPFaultInjection) -> HTTPFault:
    """Delay and abort; a kind that Istio does not implement (``exponentialDelay``) leaves nothing."""
    return HTTPFault(
        delay=None if fault.delay is None else _delay(fault.delay),
        abort=None if fault.abort is None else _abort(fault.abort),
        because=(Because("fault", fault.origin),),
    )


def _delay(delay: http_fault.FaultDelay) -> FaultDelay | None:
    if delay.fixed_delay is None:
        return None
    share = whole(delay.percent) if delay.percentage is None else fractional(delay.percentage)
    return FaultDelay(fixed_delay=delay.fixed_delay, percentage=share)


def _abort(abort: http_fault.FaultAbort) -> FaultAbort | None:
    share = None if abort.percentage is None else fractional(abort.percentage)
    if abort.http_status is not None:
        return FaultAbort(http_status=abort.http_status, percentage=share)
    if abort.grpc_status is None:
        return None
    known = abort.grpc_status in GRPC_STATUSES
    return FaultAbort(grpc_status=GRPC_STATUSES.index(abort.grpc_status) if known else 0, percentage=share)
