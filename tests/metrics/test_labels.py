"""Label by label, what a stream is counted as (Istio's standard metrics, reporter ``source``)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sandbox.access_log.stream_info import StreamInfo
from sandbox.metrics.http_meter import HttpMeter
from sandbox.metrics.node_metrics import MOST_HOSTS, MOST_SERIES, NodeMetrics
from sandbox.metrics.tcp_meter import TcpMeter
from sandbox.plan.base import Metadata
from sandbox.plan.cluster import Cluster
from sandbox.plan.metrics import PEER_LABELS, STANDARD_LABELS, MetricConfig, NodeMetadata, StatsConfig
from sandbox.plan.route import Route
from sandbox.plan.tls import CommonTlsContext, SdsSecretConfig, TransportSocket, UpstreamTlsContext
from sandbox.wire.grpc_frames import GrpcMessages

NODE = NodeMetadata(
    workload_name="frontend",
    namespace="shop",
    canonical_name="web",
    canonical_revision="v2",
    app="frontend",
    version="v2",
    cluster_id="Kubernetes",
    principal="spiffe://cluster.local/ns/shop/sa/buyer",
)
GATEWAY = StatsConfig(disable_host_header_fallback=True)
EXTERNAL = Cluster(
    name="outbound|80||api.example",
    metadata=Metadata(
        filter_metadata={"istio": {"services": ({"host": "api.example", "name": "api.example", "namespace": "shop"},)}}
    ),
)
PASSTHROUGH, BLACK_HOLE, BARE = Cluster(name="PassthroughCluster"), Cluster(name="BlackHoleCluster"), Cluster(name="x")
MUTUAL = TransportSocket(
    name="envoy.transport_sockets.tls",
    typed_config=UpstreamTlsContext(
        common_tls_context=CommonTlsContext(tls_certificate_sds_secret_configs=(SdsSecretConfig(name="default"),))
    ),
)
GATEWAY_POD = {"istio": {"workload": "istio-egressgateway;istio-system;istio-egressgateway;;Kubernetes"}}


def request(**facts: object) -> StreamInfo:
    info = StreamInfo(10.0, 1_700_000_000.0)
    info.is_http = True
    info.end = 10.0125
    info.method, info.authority, info.response_code = b"GET", b"api.example:80", 200
    info.wire_bytes_received, info.wire_bytes_sent = 120, 1200
    for name, value in facts.items():
        setattr(info, name, value)
    return info


def labels_of(info: StreamInfo, config: StatsConfig | None = None) -> dict[str, str]:
    metrics = NodeMetrics("shop/frontend-1")
    HttpMeter(config or StatsConfig(), NODE, metrics).record(info)
    ((labels, counter),) = metrics.counters["istio_requests_total"].items()
    assert counter.value == 1
    return dict(labels)


def test_every_label_of_a_request_in_istios_order() -> None:
    metrics = NodeMetrics("shop/frontend-1")
    meter = HttpMeter(StatsConfig(), NODE, metrics)

    meter.record(request(cluster=EXTERNAL))

    (labels,) = metrics.counters["istio_requests_total"]
    assert tuple(name for name, _ in labels) == STANDARD_LABELS
    assert dict(labels) == {
        "reporter": "source",
        "source_workload": "frontend",
        "source_canonical_service": "web",
        "source_canonical_revision": "v2",
        "source_workload_namespace": "shop",
        "source_principal": "unknown",
        "source_app": "frontend",
        "source_version": "v2",
        "source_cluster": "Kubernetes",
        "destination_workload": "unknown",
        "destination_workload_namespace": "unknown",
        "destination_principal": "unknown",
        "destination_app": "unknown",
        "destination_version": "unknown",
        "destination_service": "api.example",
        "destination_canonical_service": "unknown",
        "destination_canonical_revision": "latest",
        "destination_service_name": "api.example",
        "destination_service_namespace": "shop",
        "destination_cluster": "unknown",
        "request_protocol": "http",
        "response_code": "200",
        "grpc_response_status": "",
        "response_flags": "-",
        "connection_security_policy": "unknown",
    }


@pytest.mark.parametrize(
    ("facts", "config", "service", "name", "namespace"),
    [
        pytest.param(
            {"cluster": EXTERNAL, "authority": b"other"}, None, "api.example", "api.example", "shop", id="a service"
        ),
        pytest.param(
            {"route": Route(name="allow_any"), "cluster": PASSTHROUGH},
            None, "api.example:80", "PassthroughCluster", "unknown", id="an unknown host passes",
        ),
        pytest.param(
            {"route": Route(name="block_all")},
            None, "api.example:80", "BlackHoleCluster", "unknown", id="an unknown host is blocked",
        ),
        pytest.param(
            {"route": Route(name="allow_any"), "cluster": EXTERNAL},
            None, "api.example:80", "PassthroughCluster", "unknown", id="an egress proxy takes the unknown",
        ),
        pytest.param({}, None, "api.example:80", "api.example:80", "unknown", id="no route, no cluster: as it calls"),
        pytest.param({"cluster": BARE}, None, "api.example:80", "api.example:80", "unknown", id="no known service"),
        pytest.param({"authority": None}, None, "unknown", "unknown", "unknown", id="a request without Host"),
        pytest.param({}, GATEWAY, "unknown", "unknown", "unknown", id="a gateway does not tell the Host"),
        pytest.param({"cluster": EXTERNAL}, GATEWAY, "api.example", "api.example", "shop", id="but the service"),
    ],
)  # fmt: skip
def test_the_destination_is_the_service_of_route_or_cluster(
    facts: dict[str, object], config: StatsConfig | None, service: str, name: str, namespace: str
) -> None:
    labels = labels_of(request(**facts), config)

    assert labels["destination_service"] == service
    assert labels["destination_service_name"] == name
    assert labels["destination_service_namespace"] == namespace


def test_an_endpoint_tells_its_workload() -> None:
    labels = labels_of(request(cluster=EXTERNAL, upstream_host_metadata=GATEWAY_POD))

    assert labels["destination_workload"] == "istio-egressgateway"
    assert labels["destination_workload_namespace"] == "istio-system"
    assert labels["destination_canonical_service"] == "istio-egressgateway"
    assert labels["destination_canonical_revision"] == "latest"
    assert labels["destination_cluster"] == "Kubernetes"


@pytest.mark.parametrize(
    ("cluster", "version", "principal", "source", "destination", "namespace"),
    [
        pytest.param(
            replace(EXTERNAL, transport_socket=MUTUAL), "TLSv1.3", "spiffe://cluster.local/ns/egress/sa/gw",
            NODE.principal, "spiffe://cluster.local/ns/egress/sa/gw", "egress", id="the mesh's mutual TLS",
        ),
        pytest.param(EXTERNAL, "TLSv1.3", None, "unknown", "unknown", "istio-system", id="TLS without a certificate"),
        pytest.param(
            replace(EXTERNAL, transport_socket=MUTUAL), None, None, "unknown", "unknown", "istio-system", id="plain"
        ),
    ],
)  # fmt: skip
def test_principals_are_those_of_the_certificates(
    cluster: Cluster, version: str | None, principal: str | None, source: str, destination: str, namespace: str
) -> None:
    info = request(cluster=cluster, upstream_host_metadata=GATEWAY_POD)
    info.upstream_tls_version, info.upstream_peer_uri_san = version, principal

    labels = labels_of(info)

    assert labels["source_principal"] == source
    assert labels["destination_principal"] == destination
    assert labels["destination_workload_namespace"] == namespace


@pytest.mark.parametrize(
    ("facts", "protocol", "status"),
    [
        pytest.param({}, "http", "", id="a plain request"),
        pytest.param({"response_trailers": [(b"grpc-status", b"5")]}, "grpc", "5", id="the status of the trailers"),
        pytest.param({"response_headers": [(b"grpc-status", b"3")]}, "grpc", "3", id="a response of trailers only"),
        pytest.param({"response_code": 503}, "grpc", "14", id="the status that 503 means"),
        pytest.param({"response_code": None}, "grpc", "", id="no response"),
        pytest.param({"response_trailers": [(b"grpc-status", b"77")]}, "grpc", "-1", id="a status nobody knows"),
        pytest.param(
            {"response_code_details": "fault_filter_abort"}, "http", "", id="ended before the filter that looks"
        ),
    ],
)
def test_grpc_calls_are_told_with_their_status(facts: dict[str, object], protocol: str, status: str) -> None:
    headers = [(b"content-type", b"application/grpc")] if facts else []
    labels = labels_of(request(cluster=EXTERNAL, method=b"POST", request_headers=headers, **facts))

    assert (labels["request_protocol"], labels["grpc_response_status"]) == (protocol, status)


def test_grpc_messages_are_counted_without_protocol_and_status() -> None:
    metrics = NodeMetrics("shop/frontend-1")
    info = request(cluster=EXTERNAL, method=b"POST", request_headers=[(b"content-type", b"application/grpc")])
    info.grpc_messages = GrpcMessages()
    info.grpc_messages.request.feed(b"\0\0\0\0\0" * 2)
    info.grpc_messages.response.feed(b"\0\0\0\0\0" * 3)

    HttpMeter(StatsConfig(), NODE, metrics).record(info)

    ((labels, sent),) = metrics.counters["istio_request_messages_total"].items()
    (received,) = metrics.counters["istio_response_messages_total"].values()
    assert (sent.value, received.value) == (2, 3)
    assert tuple(name for name, _ in labels) == PEER_LABELS


def test_flags_and_the_code_of_a_request_without_an_answer() -> None:
    labels = labels_of(request(cluster=EXTERNAL, response_code=None, response_flags=["URX", "UF"]))

    assert (labels["response_code"], labels["response_flags"]) == ("0", "URX,UF")


def test_durations_and_sizes_are_observed_beside_the_count() -> None:
    metrics = NodeMetrics("shop/frontend-1")
    meter = HttpMeter(StatsConfig(), NODE, metrics)

    meter.record(request(cluster=EXTERNAL))
    meter.record(request(cluster=EXTERNAL))

    totals = {name: next(iter(family.values())).total for name, family in metrics.histograms.items()}
    assert totals == {
        "istio_request_duration_milliseconds": 24, "istio_request_bytes": 240, "istio_response_bytes": 2400,
    }  # fmt: skip


def test_hosts_that_clients_make_up_come_to_an_end() -> None:
    metrics = NodeMetrics("shop/frontend-1")
    meter = HttpMeter(StatsConfig(), NODE, metrics)

    for number in range(MOST_HOSTS + 5):
        meter.record(request(authority=b"host-%d" % number))

    family = metrics.counters["istio_requests_total"]
    assert len(family) == MOST_HOSTS + 1
    assert metrics.hosts_left_out == 5
    assert {dict(labels)["destination_service"] for labels, counter in family.items() if counter.value == 5} == {
        "unknown"
    }


def test_series_come_to_an_end() -> None:
    metrics = NodeMetrics("shop/frontend-1")
    config = StatsConfig(metrics=(MetricConfig(name="requests_total", dimensions={"path": "request.path"}),))
    meter = HttpMeter(config, NODE, metrics)

    for number in range(MOST_SERIES + 5):
        meter.record(request(cluster=EXTERNAL, path=b"/%d" % number))

    assert sum(len(family) for family in metrics.counters.values()) <= MOST_SERIES
    assert metrics.series_left_out > 0


def test_values_that_no_series_tells_are_not_kept_for_ever() -> None:
    config = StatsConfig(metrics=(MetricConfig(name="request_messages_total", dimensions={"path": "request.path"}),))
    meter = HttpMeter(config, NODE, NodeMetrics("shop/frontend-1"))

    for number in range(MOST_SERIES + 5):
        meter.record(request(cluster=EXTERNAL, path=b"/%d" % number))

    (target,) = meter.targets
    assert len(target.series) == MOST_SERIES


class Connection:
    """A TCP connection to a service."""

    def __init__(self, **facts: object) -> None:
        self.info = StreamInfo(10.0, 1_700_000_000.0)
        self.info.cluster = EXTERNAL
        for name, value in facts.items():
            setattr(self.info, name, value)

    def carried(self) -> tuple[int, int]:
        return self.info.wire_bytes_received, self.info.wire_bytes_sent


def tcp_counts(metrics: NodeMetrics) -> dict[str, list[int]]:
    short = {name.removeprefix("istio_tcp_"): family for name, family in metrics.counters.items()}
    return {name: [counter.value for counter in family.values()] for name, family in short.items()}


def test_a_connection_is_counted_when_it_is_over() -> None:
    metrics = NodeMetrics("shop/frontend-1")
    meter, connection = TcpMeter(StatsConfig(), NODE, metrics), Connection()
    meter.begin(connection)
    metrics.report_live(11.0)
    assert metrics.counters == {}

    connection.info.wire_bytes_received, connection.info.wire_bytes_sent = 10, 20
    meter.end(connection)

    assert tcp_counts(metrics) == {
        "connections_opened_total": [1], "connections_closed_total": [1], "received_bytes_total": [10],
        "sent_bytes_total": [20],
    }  # fmt: skip
    (labels,) = metrics.counters["istio_tcp_connections_opened_total"]
    told = dict(labels)
    assert "response_code" not in told
    assert (told["request_protocol"], told["response_flags"], told["destination_service"]) == (
        "tcp",
        "-",
        "api.example",
    )
    assert not metrics.live


def test_values_that_no_series_of_tcp_tells_are_not_kept_for_ever() -> None:
    config = StatsConfig(metrics=(MetricConfig(name="requests_total", dimensions={"port": "source.port"}),))
    meter = TcpMeter(config, NODE, NodeMetrics("shop/frontend-1"))

    for number in range(MOST_SERIES + 5):
        connection = Connection(downstream_remote_address=f"10.{number // 60_000}.0.1:{number % 60_000}")
        meter.begin(connection)
        meter.end(connection)

    assert len(meter.series) == MOST_SERIES


def test_a_connection_that_stays_open_is_told_after_the_reporting_interval() -> None:
    metrics = NodeMetrics("shop/frontend-1")
    meter = TcpMeter(StatsConfig(tcp_reporting_duration=timedelta(seconds=2)), NODE, metrics)
    connection = Connection(wire_bytes_received=10)
    meter.begin(connection)

    metrics.report_live(12.0)
    connection.info.wire_bytes_received = 15
    metrics.report_live(12.5)

    assert tcp_counts(metrics)["received_bytes_total"] == [15]
    assert tcp_counts(metrics)["connections_opened_total"] == [1]
    assert tcp_counts(metrics)["connections_closed_total"] == [0]


def test_a_connection_keeps_the_labels_under_which_it_was_first_told() -> None:
    metrics = NodeMetrics("shop/frontend-1")
    meter, connection = TcpMeter(StatsConfig(), NODE, metrics), Connection()
    meter.begin(connection)
    metrics.report_live(15.0)

    connection.info.response_flags = ["UR"]
    meter.end(connection)

    (labels,) = metrics.counters["istio_tcp_connections_closed_total"]
    assert dict(labels)["response_flags"] == "-"


@pytest.mark.parametrize(
    ("cluster", "name"),
    [
        pytest.param(BLACK_HOLE, "BlackHoleCluster", id="blocked"),
        pytest.param(PASSTHROUGH, "PassthroughCluster", id="passed"),
    ],
)
def test_unknown_destinations_over_tcp(cluster: Cluster, name: str) -> None:
    metrics = NodeMetrics("shop/frontend-1")
    meter, connection = TcpMeter(StatsConfig(), NODE, metrics), Connection(cluster=cluster, response_flags=["UH"])
    meter.begin(connection)
    meter.end(connection)

    (labels,) = metrics.counters["istio_tcp_connections_closed_total"]
    told = dict(labels)
    assert (told["destination_service"], told["destination_service_name"]) == ("unknown", name)
    assert told["response_flags"] == "UH"
