"""What Envoy refuses: its rules as a real Envoy's ``--mode validate`` shows them."""

from __future__ import annotations

import pytest

from sandbox.plan import NodePlan
from sandbox.plan.acceptance import in_force, refusals
from sandbox.plan.base import CidrRange, SocketAddress
from sandbox.plan.cluster import (
    Cluster,
    ClusterLoadAssignment,
    CustomClusterType,
    DynamicForwardProxyClusterConfig,
    HttpProtocolOptions,
    LbEndpoint,
    LocalityLbEndpoints,
    UpstreamHttpProtocolOptions,
)
from sandbox.plan.http_connection_manager import HttpConnectionManager, Tracing, TracingProvider
from sandbox.plan.listener import Filter, FilterChain, FilterChainMatch, Listener
from sandbox.plan.route import (
    ClusterWeight,
    Route,
    RouteAction,
    RouteConfiguration,
    VirtualHost,
    WeightedCluster,
)
from sandbox.plan.tracing import HttpService, HttpUri, ZipkinConfig


def plan_of(*resources: Cluster | Listener | RouteConfiguration) -> NodePlan:
    return NodePlan(
        node_type="sidecar",
        workload="default/client",
        clusters={each.name: each for each in resources if isinstance(each, Cluster)},
        listeners=tuple(each for each in resources if isinstance(each, Listener)),
        route_configurations={each.name: each for each in resources if isinstance(each, RouteConfiguration)},
    )


def is_refused(resource: Cluster | Listener | RouteConfiguration) -> bool:
    return [refusal.name for refusal in refusals(plan_of(resource))] == [resource.name]


@pytest.mark.parametrize(
    ("localities", "refused"),
    [
        pytest.param([1], False, id="one endpoint"),
        pytest.param([2], True, id="two endpoints"),
        pytest.param([], True, id="none"),
        pytest.param([1, 1], True, id="two localities"),
    ],
)
def test_a_logical_dns_cluster_has_exactly_one_endpoint(localities: list[int], refused: bool) -> None:
    endpoints = tuple(LocalityLbEndpoints(lb_endpoints=(LbEndpoint(),) * count) for count in localities)
    assignment = ClusterLoadAssignment(cluster_name="c", endpoints=endpoints)
    assert is_refused(Cluster(name="c", type="LOGICAL_DNS", load_assignment=assignment)) == refused


@pytest.mark.parametrize(
    ("options", "insecure", "refused"),
    [
        pytest.param(None, False, False, id="without HTTP options"),
        pytest.param(HttpProtocolOptions(), False, True, id="options that check no names"),
        pytest.param(
            HttpProtocolOptions(upstream_http_protocol_options=UpstreamHttpProtocolOptions(auto_sni=True)),
            False,
            True,
            id="SNI alone",
        ),
        pytest.param(
            HttpProtocolOptions(
                upstream_http_protocol_options=UpstreamHttpProtocolOptions(auto_sni=True, auto_san_validation=True)
            ),
            False,
            False,
            id="both checks",
        ),
        pytest.param(HttpProtocolOptions(), True, False, id="insecure options are allowed"),
    ],
)
def test_a_dynamic_forward_proxy_checks_names(
    options: HttpProtocolOptions | None, insecure: bool, refused: bool
) -> None:
    config = DynamicForwardProxyClusterConfig(allow_insecure_cluster_options=insecure)
    cluster = Cluster(
        name="c",
        cluster_type=CustomClusterType(name="envoy.clusters.dynamic_forward_proxy", typed_config=config),
        typed_extension_protocol_options={HttpProtocolOptions.TYPE: options} if options else None,
    )
    assert is_refused(cluster) == refused


def to(prefix: str, length: int) -> FilterChainMatch:
    return FilterChainMatch(prefix_ranges=(CidrRange(address_prefix=prefix, prefix_len=length),))


@pytest.mark.parametrize(
    ("matches", "refused"),
    [
        pytest.param([FilterChainMatch(server_names=("a.b",)), FilterChainMatch(server_names=("c.b",))], False, id="2"),
        pytest.param([FilterChainMatch(server_names=("a.b",)), FilterChainMatch(server_names=("A.b",))], True, id="A"),
        pytest.param([FilterChainMatch(server_names=("a.b", "a.b"))], True, id="twice in one chain"),
        pytest.param(
            [FilterChainMatch(server_names=("*.b",)), FilterChainMatch(server_names=(".b",))], True, id="wildcard"
        ),
        pytest.param([FilterChainMatch(server_names=("*",))], True, id="a star alone"),
        pytest.param([to("10.0.0.1", 24), to("10.0.0.2", 24)], True, id="one network written in two ways"),
        pytest.param([to("0.0.0.0", 0), None], False, id="every address, and no address"),
        pytest.param(
            [FilterChainMatch(application_protocols=("a", "b")), FilterChainMatch(application_protocols=("b",))],
            True,
            id="protocols overlap",
        ),
    ],
)
def test_no_two_chains_of_a_listener_match_the_same(matches: list[FilterChainMatch | None], refused: bool) -> None:
    chains = tuple(FilterChain(filter_chain_match=match) for match in matches)
    assert is_refused(Listener(name="l", filter_chains=chains)) == refused


def test_of_two_listeners_with_one_address_the_second_is_refused() -> None:
    address = SocketAddress(address="0.0.0.0", port_value=15001)
    other = SocketAddress(address="10.0.0.1", port_value=15001)
    named = [("first", address), ("virtualOutbound", address), ("other", other)]
    plan = plan_of(*(Listener(name=name, address=place) for name, place in named))
    assert [refusal.name for refusal in refusals(plan)] == ["virtualOutbound"]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_zipkin_tracer_needs_its_cluster(is_known: bool) -> None:
    config = ZipkinConfig(collector_service=HttpService(http_uri=HttpUri(cluster="zipkin")))
    manager = HttpConnectionManager(tracing=Tracing(provider=TracingProvider(typed_config=config)))
    listener = Listener(name="l", filter_chains=(FilterChain(filters=(Filter(typed_config=manager),)),))
    plan = plan_of(listener, Cluster(name="zipkin" if is_known else "other"))
    assert bool(refusals(plan)) != is_known


def host(*domains: str, route: Route | None = None) -> VirtualHost:
    return VirtualHost(name=domains[0], domains=domains, routes=(route,) if route else ())


def weighted(*weights: int) -> Route:
    clusters = tuple(ClusterWeight(name="c", weight=weight) for weight in weights)
    return Route(action=RouteAction(weighted_clusters=WeightedCluster(clusters=clusters)))


@pytest.mark.parametrize(
    ("hosts", "refused"),
    [
        pytest.param([host("a"), host("b", "c")], False, id="different domains"),
        pytest.param([host("a"), host("A")], True, id="one domain in two cases"),
        pytest.param([host("a", "a")], True, id="one domain twice"),
        pytest.param([host("a", route=Route())], True, id="a route without action"),
        pytest.param([host("a", route=weighted(0, 1))], False, id="one weight"),
        pytest.param([host("a", route=weighted(0, 0))], True, id="no weight"),
        pytest.param([host("a", route=weighted())], True, id="no clusters"),
    ],
)
def test_routes_are_complete_and_domains_unique(hosts: list[VirtualHost], refused: bool) -> None:
    assert is_refused(RouteConfiguration(name="80", virtual_hosts=tuple(hosts))) == refused


def test_what_is_refused_is_left_out_and_routes_become_empty() -> None:
    good = Cluster(name="good")
    routes = RouteConfiguration(name="80", virtual_hosts=(host("a", "a"),))
    left = in_force(plan_of(good, Cluster(name="bad", type="LOGICAL_DNS"), routes))
    assert left.clusters == {"good": good}
    assert left.route_configurations == {"80": RouteConfiguration(name="80")}


def test_a_plan_without_faults_stays_as_it_is() -> None:
    plan = plan_of(Cluster(name="good"))
    assert in_force(plan) is plan
