"""The TCP metrics: connections opened and closed, bytes both ways.

Source: Envoy contrib/istio/filters/http/istio_stats/source/istio_stats.cc (``reportHelper``): a connection is told
when it is over, or when it has been open for the reporting interval; its labels are those of that moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sandbox.metrics.destination import peer_labels, presents_identity, service_of, workload_of
from sandbox.metrics.instruments import Counter
from sandbox.metrics.label_rules import LabelRules

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.metrics.node_metrics import Labels, NodeMetrics
    from sandbox.plan.metrics import NodeMetadata, StatsConfig


class OpenConnection(Protocol):
    """A connection on its way."""

    info: StreamInfo

    def carried(self) -> tuple[int, int]:
        """Bytes received from the client and sent to it, so far."""


class TcpSeries:
    """The instruments of connections with the same labels."""

    __slots__ = ("closed", "opened", "received", "sent")

    def __init__(self, opened: Counter, closed: Counter, received: Counter, sent: Counter) -> None:
        self.opened = opened
        self.closed = closed
        self.received = received
        self.sent = sent


class _Told:
    """What has been counted of a connection."""

    __slots__ = ("received", "sent", "series")

    def __init__(self, series: TcpSeries) -> None:
        self.series = series
        self.received = 0
        self.sent = 0

    def take(self, received: int, sent: int) -> None:
        self.series.received.value += received - self.received
        self.series.sent.value += sent - self.sent
        self.received, self.sent = received, sent


class TcpMeter:
    """One ``istio.stats`` filter of one plan, for its TCP chains. ``begin``, then ``end``; ``report`` in between."""

    def __init__(self, config: StatsConfig, node: NodeMetadata, metrics: NodeMetrics) -> None:
        self._node = node
        self._metrics = metrics
        self._rules = LabelRules(config)
        self._interval = config.tcp_reporting_duration.total_seconds()
        self._open: dict[OpenConnection, None] = {}
        self._told: dict[OpenConnection, _Told] = {}
        self.series: dict[tuple[object, ...], TcpSeries] = {}
        """By what tells connections apart."""

    def begin(self, connection: OpenConnection) -> None:
        """A connection is there."""
        if not self._open:
            self._metrics.live[self] = None
        self._open[connection] = None

    def end(self, connection: OpenConnection) -> None:
        """The connection is over; its ``info`` is complete."""
        del self._open[connection]
        if not self._open:
            del self._metrics.live[self]
        told = self._told.pop(connection, None)
        if told is None:
            told = self._tell(connection)
        told.take(connection.info.wire_bytes_received, connection.info.wire_bytes_sent)
        told.series.closed.value += 1

    def report(self, now: float) -> None:
        """Counts what connections have carried that are open long enough; Envoy does by a timer of each of them."""
        if not self._interval:
            return
        for connection in list(self._open):
            told = self._told.get(connection)
            if told is None and now - connection.info.start >= self._interval:
                told = self._told[connection] = self._tell(connection)
            if told is not None:
                told.take(*connection.carried())

    def _tell(self, connection: OpenConnection) -> _Told:
        series = self._series_of(connection.info)
        series.opened.value += 1
        return _Told(series)

    def _series_of(self, info: StreamInfo) -> TcpSeries:
        metadata = info.upstream_host_metadata
        workload = workload_of(metadata) if metadata else ""
        values = self._rules.values_of(info)
        principal = info.upstream_peer_uri_san or ""
        has_tls = info.upstream_tls_version is not None
        key = (id(info.cluster), workload, tuple(info.response_flags), principal, has_tls, values)
        known = self.series.get(key)
        if known is not None:
            return known
        labels: Labels = (
            *peer_labels(
                self._node,
                service_of(None, info.cluster),
                host="",
                workload=workload,
                peer_principal=principal,
                shows_identity=has_tls and presents_identity(info.cluster),
            ),
            ("request_protocol", "tcp"),
            ("response_flags", ",".join(info.response_flags) or "-"),
            ("connection_security_policy", "unknown"),
        )
        series = TcpSeries(
            self._counter("tcp_connections_opened_total", labels, values),
            self._counter("tcp_connections_closed_total", labels, values),
            self._counter("tcp_received_bytes_total", labels, values),
            self._counter("tcp_sent_bytes_total", labels, values),
        )
        if self._metrics.has_room_beside(self.series):
            self.series[key] = series
        return series

    def _counter(self, name: str, labels: Labels, values: tuple[str, ...]) -> Counter:
        own = self._rules.labels_of(name, labels, values)
        return Counter() if own is None else self._metrics.counter(f"istio_{name}", own)
