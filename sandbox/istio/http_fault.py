"""Faults an HTTP route puts in: delay and abort."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination import Percent
from sandbox.istio.message import Message
from sandbox.istio.scalars import Int32


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAbort(Message):
    """``istio.networking.v1alpha3.HTTPFaultInjection.Abort``: which error and how often."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("http_status", "grpc_status", "http2_error"),)

    http_status: Int32 | None = None
    grpc_status: str | None = None
    http2_error: str | None = None
    percentage: Percent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultDelay(Message):
    """``istio.networking.v1alpha3.HTTPFaultInjection.Delay``: how long and how often to delay."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("fixed_delay", "exponential_delay"),)

    percent: Int32 = 0
    fixed_delay: timedelta | None = None
    exponential_delay: timedelta | None = None
    percentage: Percent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPFaultInjection(Message):
    """``istio.networking.v1alpha3.HTTPFaultInjection``: delays and aborts put in on purpose."""

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None
