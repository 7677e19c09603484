"""WorkloadGroup and its probes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import Int32, UInt32
from sandbox.istio.workload_entry import WorkloadEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecHealthCheckConfig(Message):
    """``istio.networking.v1alpha3.ExecHealthCheckConfig``: a probe by a command."""

    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcHealthCheckConfig(Message):
    """``istio.networking.v1alpha3.GrpcHealthCheckConfig``: a probe by gRPC."""

    port: UInt32 = 0
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPHeader(Message):
    """``istio.networking.v1alpha3.HTTPHeader``: a header that a probe sends."""

    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPHealthCheckConfig(Message):
    """``istio.networking.v1alpha3.HTTPHealthCheckConfig``: a probe by an HTTP request."""

    path: str = ""
    port: UInt32 = 0
    host: str = ""
    scheme: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TCPHealthCheckConfig(Message):
    """``istio.networking.v1alpha3.TCPHealthCheckConfig``: a probe by a connection."""

    host: str = ""
    port: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessProbe(Message):
    """``istio.networking.v1alpha3.ReadinessProbe``: how the health of a workload is found out, times in seconds."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("http_get", "tcp_socket", "exec", "grpc"),)

    initial_delay_seconds: Int32 = 0
    timeout_seconds: Int32 = 0
    period_seconds: Int32 = 0
    success_threshold: Int32 = 0
    failure_threshold: Int32 = 0
    http_get: HTTPHealthCheckConfig | None = None
    tcp_socket: TCPHealthCheckConfig | None = None
    exec: ExecHealthCheckConfig | None = None
    grpc: GrpcHealthCheckConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadGroupMeta(Message):
    """``istio.networking.v1alpha3.WorkloadGroup.ObjectMeta``: labels and annotations of the entries to come."""

    labels: Mapping[str, str] = EMPTY
    annotations: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadGroup(Message):
    """``istio.networking.v1alpha3.WorkloadGroup``: template of WorkloadEntries."""

    metadata: WorkloadGroupMeta | None = None
    template: WorkloadEntry | None = None
    probe: ReadinessProbe | None = None
