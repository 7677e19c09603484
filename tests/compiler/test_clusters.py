from __future__ import annotations

import pytest

from sandbox.plan.cluster import Cluster, DynamicForwardProxyClusterConfig, HttpProtocolOptions

from .nodes import addresses, compiled, manifest, tls_of
from .sidecars import mesh, service_entry

ENTRY = service_entry("a.example", "80/HTTP")
NAME = "outbound|80||a.example"


def _rule(policy: str, host: str = "a.example") -> str:
    body = "\n".join(f"  {line}" for line in policy.strip().splitlines())
    return manifest("DestinationRule", "r", f"host: '{host}'\ntrafficPolicy:\n{body}")


def _http(cluster: Cluster) -> HttpProtocolOptions | None:
    options = next(iter((cluster.typed_extension_protocol_options or {}).values()), None)
    assert options is None or isinstance(options, HttpProtocolOptions)
    return options


def _version(cluster: Cluster) -> str:
    options = _http(cluster)
    if options is None:
        return "default"
    if options.use_downstream_protocol_config is not None:
        return "as the client"
    explicit = options.explicit_http_config
    return "2" if explicit is not None and explicit.http2_protocol_options is not None else "1.1"


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("HTTP", "default"),
        ("HTTP2", "2"),
        ("GRPC", "2"),
        ("GRPC-Web", "2"),
        ("TCP", "default"),
        ("''", "as the client"),
    ],
)
def test_the_protocol_of_a_port_decides_the_version_of_http(protocol: str, expected: str) -> None:
    cluster = compiled(service_entry("a.example", f"80/{protocol}")).cluster(NAME)

    assert _version(cluster) == expected


@pytest.mark.parametrize(
    ("settings", "pool", "expected"),
    [
        ("h2UpgradePolicy: UPGRADE", "", "2"),
        ("h2UpgradePolicy: UPGRADE", "h2UpgradePolicy: DO_NOT_UPGRADE", "default"),
        ("", "h2UpgradePolicy: UPGRADE", "2"),
        ("h2UpgradePolicy: UPGRADE", "useClientProtocol: true", "as the client"),
    ],
)
def test_rule_and_mesh_may_upgrade_to_http_2(settings: str, pool: str, expected: str) -> None:
    documents = [ENTRY, mesh(settings)] if settings else [ENTRY]
    if pool:
        documents.append(_rule(f"connectionPool: {{http: {{{pool}}}}}"))

    assert _version(compiled(*documents).cluster(NAME)) == expected


@pytest.mark.parametrize(
    ("balancer", "expected"),
    [
        ("simple: RANDOM", ("RANDOM", "STRICT_DNS")),
        ("simple: ROUND_ROBIN", ("ROUND_ROBIN", "STRICT_DNS")),
        ("simple: LEAST_CONN", ("LEAST_REQUEST", "STRICT_DNS")),
        ("simple: PASSTHROUGH", ("CLUSTER_PROVIDED", "ORIGINAL_DST")),
        ("consistentHash: {useSourceIp: true}", ("RING_HASH", "STRICT_DNS")),
        ("consistentHash: {useSourceIp: true, maglev: {tableSize: 251}}", ("MAGLEV", "STRICT_DNS")),
    ],
)
def test_the_load_balancer_is_the_rules(balancer: str, expected: tuple[str, str]) -> None:
    cluster = compiled(ENTRY, _rule(f"loadBalancer: {{{balancer}}}")).cluster(NAME)

    assert (cluster.lb_policy, cluster.type) == expected
    assert (cluster.load_assignment is None) is (cluster.type == "ORIGINAL_DST")


def test_without_a_rule_the_least_busy_endpoint_is_taken_without_limits_or_panic() -> None:
    cluster = compiled(ENTRY).cluster(NAME)
    assert cluster.circuit_breakers is not None
    (limits,) = cluster.circuit_breakers.thresholds

    assert cluster.lb_policy == "LEAST_REQUEST"
    assert {limits.max_connections, limits.max_pending_requests, limits.max_requests, limits.max_retries} == {2**32 - 1}
    assert cluster.common_lb_config is not None
    assert cluster.common_lb_config.healthy_panic_threshold is not None
    assert cluster.common_lb_config.healthy_panic_threshold.value == 0


def test_outlier_detection_sets_what_is_set_and_never_counts_success_rates() -> None:
    rule = _rule("outlierDetection: {consecutive5xxErrors: 3, consecutiveGatewayErrors: 0, minHealthPercent: 30}")
    cluster = compiled(ENTRY, rule).cluster(NAME)
    detection = cluster.outlier_detection
    assert detection is not None
    assert cluster.common_lb_config is not None
    assert cluster.common_lb_config.healthy_panic_threshold is not None

    assert (detection.consecutive_5xx, detection.enforcing_consecutive_5xx) == (3, 100)
    assert (detection.consecutive_gateway_failure, detection.enforcing_consecutive_gateway_failure) == (0, 0)
    assert (detection.enforcing_success_rate, detection.max_ejection_percent) == (0, None)
    assert cluster.common_lb_config.healthy_panic_threshold.value == 30


def test_a_target_port_moves_the_original_destination() -> None:
    spec = "hosts: [a.example]\nports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]\nresolution: NONE"
    cluster = compiled(manifest("ServiceEntry", "a", spec)).cluster(NAME)

    assert cluster.original_dst_lb_config is not None
    assert cluster.original_dst_lb_config.upstream_port_override == 8080


def test_gateways_have_no_original_destination() -> None:
    entry = service_entry("a.example", "80/HTTP", resolution="NONE")
    node = compiled(entry, node="router")

    assert (node.cluster(NAME).type, addresses(node.cluster(NAME))) == ("EDS", [])
    assert "PassthroughCluster" not in node.plan.clusters


def test_a_dynamic_host_is_a_forward_proxy_without_subsets() -> None:
    entry = service_entry("*.wild.example", "80/HTTP", "443/TLS", "9000/TCP", resolution="DYNAMIC_DNS")
    rule = manifest("DestinationRule", "r", "host: '*.wild.example'\nsubsets: [{name: v1}]")
    node = compiled(entry, rule)

    assert node.outbound() == ["outbound|443||*.wild.example", "outbound|80||*.wild.example"]
    kind = node.cluster("outbound|80||*.wild.example").cluster_type
    assert kind is not None
    assert isinstance(kind.typed_config, DynamicForwardProxyClusterConfig)
    assert kind.typed_config.dns_cache_config is not None
    assert kind.typed_config.dns_cache_config.name == "*.wild.example_dfp_dns_cache"


def test_what_crashes_istiod_is_told_and_left_out() -> None:
    dynamic = service_entry("*.wild.example", "80/HTTP", resolution="DYNAMIC_DNS")
    node = compiled(dynamic, _rule("outlierDetection: {}", "*.wild.example"))
    assert node.codes == ["SBX0403"]
    assert node.cluster("outbound|80||*.wild.example").outlier_detection is None

    endpoints = "endpoints: [{address: b.example, locality: eu}, {address: c.example, locality: us}]"
    priorities = "loadBalancer: {localityLbSetting: {failoverPriority: [topology.kubernetes.io/region]}}"
    far = compiled(
        service_entry("a.example", "80/HTTP", more=endpoints), _rule(f"outlierDetection: {{}}\n{priorities}")
    )
    assert far.codes == ["SBX0402"]
    calm = compiled(service_entry("a.example", "80/HTTP", more=endpoints), _rule(priorities))
    assert calm.codes == []


def test_proxy_protocol_wraps_whatever_the_socket_is() -> None:
    plain = compiled(ENTRY, _rule("proxyProtocol: {version: V2}")).cluster(NAME)
    secure = compiled(ENTRY, _rule("proxyProtocol: {version: V2}\ntls: {mode: SIMPLE}")).cluster(NAME)

    for cluster in (plain, secure):
        assert cluster.transport_socket is not None
        assert cluster.transport_socket.name == "envoy.transport_sockets.upstream_proxy_protocol"
    assert tls_of(secure) is None


def test_the_mesh_limits_traffic_to_unknown_destinations() -> None:
    settings = mesh("defaultTrafficPolicy: {connectionPool: {tcp: {maxConnections: 7}, http: {idleTimeout: 9s}}}")
    cluster = compiled(settings).cluster("PassthroughCluster")
    assert cluster.circuit_breakers is not None
    options = _http(cluster)
    assert options is not None
    assert options.common_http_protocol_options is not None
    assert options.common_http_protocol_options.idle_timeout is not None

    assert cluster.circuit_breakers.thresholds[0].max_connections == 7
    assert options.common_http_protocol_options.idle_timeout.total_seconds() == 300


def test_clusters_that_are_alike_share_their_parts_but_not_their_own_facts() -> None:
    node = compiled(service_entry("a.example", "80/HTTP"), service_entry("b.example", "80/HTTP"))
    one, other = node.cluster(NAME), node.cluster("outbound|80||b.example")

    assert one.circuit_breakers is other.circuit_breakers
    assert (addresses(one), addresses(other)) == (["a.example:80"], ["b.example:80"])
    assert [str(reason.origin) for reason in other.because] == ["2.yaml:6", "2.yaml:7"]
    assert one.metadata != other.metadata


# Istio pilot/pkg/networking/core/cluster.go, buildOutboundClusters: service.SupportsDrainingEndpoints.
def test_services_whose_sessions_persist_keep_endpoints_that_drain_but_not_in_subsets() -> None:
    labels = "{istio.io/persistent-session: cookie}"
    spec = "hosts: [a.example]\nports: [{number: 80, name: p80, protocol: HTTP}]\nresolution: STATIC"
    node = compiled(
        manifest("ServiceEntry", "a", spec, labels=labels),
        manifest("DestinationRule", "r", "host: a.example\nsubsets: [{name: v1, labels: {version: v1}}]"),
        service_entry("b.example", "80/HTTP"),
    )

    def statuses(name: str) -> tuple[str, ...] | None:
        settings = node.cluster(name).common_lb_config
        assert settings is not None
        return settings.override_host_status.statuses if settings.override_host_status is not None else None

    assert statuses(NAME) == ("HEALTHY", "DRAINING", "UNKNOWN", "DEGRADED")
    assert statuses("outbound|80|v1|a.example") is None
    assert statuses("outbound|80||b.example") is None
