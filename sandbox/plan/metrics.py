"""What a proxy measures: Istio's ``istio.stats`` filter, and which of Envoy's own statistics are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Final

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.because import Because, because_field

REQUEST_METRICS: Final = ("requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes")
MESSAGE_METRICS: Final = ("request_messages_total", "response_messages_total")
CONNECTION_METRICS: Final = (
    "tcp_connections_opened_total",
    "tcp_connections_closed_total",
    "tcp_sent_bytes_total",
    "tcp_received_bytes_total",
)
STANDARD_METRICS: Final = (*REQUEST_METRICS, *MESSAGE_METRICS, *CONNECTION_METRICS)
"""Every metric of the filter, without ``istio_``."""
PEER_LABELS: Final = (
    "reporter",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_service",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service_name",
    "destination_service_namespace",
    "destination_cluster",
)
"""Who calls whom, in the filter's order."""
STANDARD_LABELS: Final = (
    *PEER_LABELS,
    "request_protocol",
    "response_code",
    "grpc_response_status",
    "response_flags",
    "connection_security_policy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricConfig:
    """``stats.MetricConfig``: what is different about one metric (named without ``istio_``)."""

    name: str
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """Label to a CEL expression."""
    tags_to_remove: tuple[str, ...] = ()
    drop: bool = False
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsConfig:
    """``stats.PluginConfig``: one Prometheus provider's filter in every outbound filter chain of the proxy."""

    metrics: tuple[MetricConfig, ...] = ()
    disable_host_header_fallback: bool = False
    """Gateways: a ``Host`` that no configuration names is not told as destination."""
    tcp_reporting_duration: timedelta = timedelta(seconds=5)
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMetadata:
    """What the bootstrap says about the proxy's own workload, as far as metrics tell it; empty where unknown."""

    workload_name: str = ""
    namespace: str = ""
    canonical_name: str = ""
    canonical_revision: str = ""
    app: str = ""
    version: str = ""
    cluster_id: str = ""
    principal: str = ""
    """Its SPIFFE identity, told where a connection presents it."""
    istio_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsMatcher:
    """``envoy.config.metrics.v3.StatsMatcher`` of the bootstrap: which names of Envoy's own statistics exist."""

    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    regexps: tuple[str, ...] = ()
