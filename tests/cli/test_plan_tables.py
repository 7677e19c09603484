"""The tables of ``egress config`` are istioctl's."""

from __future__ import annotations

import pytest

from sandbox.cli import plan_tables
from sandbox.plan import NodePlan
from sandbox.plan.base import CidrRange, SocketAddress
from sandbox.plan.because import Because
from sandbox.plan.cluster import Cluster, ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints
from sandbox.plan.http_connection_manager import HttpConnectionManager, Rds
from sandbox.plan.listener import Filter, FilterChain, FilterChainMatch, Listener, TcpProxy
from sandbox.plan.route import Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost
from sandbox.yaml_source.span import Origin, ResourceRef, Span


def because(kind: str, name: str) -> tuple[Because, ...]:
    return (Because("all of it", Origin(ResourceRef(kind, "shop", name), "spec", Span("a.yaml", 1, 1))),)


def http(name: str) -> FilterChain:
    manager = HttpConnectionManager(rds=Rds(route_config_name=name))
    return FilterChain(filters=(Filter(typed_config=manager),))


def tcp(cluster: str, match: FilterChainMatch | None = None) -> FilterChain:
    return FilterChain(filter_chain_match=match, filters=(Filter(typed_config=TcpProxy(cluster=cluster)),))


PLAN = NodePlan(
    node_type="sidecar",
    workload="shop/frontend",
    listeners=(
        Listener(
            address=SocketAddress(address="0.0.0.0", port_value=443),
            filter_chains=(tcp("outbound|443||a.example.com", FilterChainMatch(server_names=("a.example.com",))),),
            default_filter_chain=tcp("PassthroughCluster"),
        ),
        Listener(address=SocketAddress(address="0.0.0.0", port_value=80), filter_chains=(http("80"),)),
    ),
    route_configurations={
        "80": RouteConfiguration(
            name="80",
            virtual_hosts=(
                VirtualHost(
                    name="a.example.com:80",
                    domains=("a.example.com", "10.0.0.1"),
                    routes=(
                        Route(
                            match=RouteMatch(prefix="/"),
                            action=RouteAction(cluster="outbound|80||a.example.com"),
                            because=because("VirtualService", "routes"),
                        ),
                    ),
                ),
            ),
        )
    },
    clusters={
        "outbound|80|v1|a.example.com": Cluster(
            name="outbound|80|v1|a.example.com",
            type="EDS",
            because=because("DestinationRule", "rules"),
            load_assignment=ClusterLoadAssignment(
                endpoints=(
                    LocalityLbEndpoints(
                        lb_endpoints=(
                            LbEndpoint(endpoint=Endpoint(address=SocketAddress(address="10.0.0.1", port_value=8080))),
                        )
                    ),
                )
            ),
        ),
        "PassthroughCluster": Cluster(name="PassthroughCluster", type="ORIGINAL_DST"),
    },
)


def test_listeners_are_printed_as_istioctl_does() -> None:
    assert plan_tables.listeners(PLAN).split("\n") == [
        "ADDRESSES PORT MATCH              DESTINATION",
        "0.0.0.0   80   ALL                Route: 80",
        "0.0.0.0   443  ALL                PassthroughCluster",
        "0.0.0.0   443  SNI: a.example.com Cluster: outbound|443||a.example.com",
    ]


def test_routes_are_printed_as_istioctl_does() -> None:
    assert plan_tables.routes(PLAN).split("\n") == [
        "NAME     VHOST NAME           DOMAINS                     MATCH     VIRTUAL SERVICE",
        "80       a.example.com:80     a.example.com, 10.0.0.1     /*        routes.shop",
    ]


def test_clusters_are_printed_as_istioctl_does() -> None:
    assert plan_tables.clusters(PLAN).split("\n") == [
        "SERVICE FQDN           PORT     SUBSET     DIRECTION     TYPE             DESTINATION RULE",
        "PassthroughCluster     -        -          -             ORIGINAL_DST     ",
        "a.example.com          80       v1         outbound      EDS              rules.shop",
    ]


def test_endpoints_are_printed_as_istioctl_does() -> None:
    assert plan_tables.endpoints(PLAN).split("\n") == [
        "NAME              STATUS      LOCALITY     CLUSTER",
        "10.0.0.1:8080     HEALTHY                  outbound|80|v1|a.example.com",
    ]


@pytest.mark.parametrize(
    ("match", "told"),
    [
        pytest.param(None, "ALL", id="no criteria"),
        pytest.param(FilterChainMatch(transport_protocol="tls"), "Trans: tls", id="transport"),
        pytest.param(
            FilterChainMatch(application_protocols=("http/1.0", "http/1.1", "h2c")), "App: HTTP", id="plain HTTP"
        ),
        pytest.param(FilterChainMatch(application_protocols=("h2",)), "App: h2", id="another protocol"),
        pytest.param(FilterChainMatch(destination_port=443), "Addr: *:443", id="a port"),
        pytest.param(
            FilterChainMatch(prefix_ranges=(CidrRange(address_prefix="10.0.0.0", prefix_len=8),)),
            "Addr: 10.0.0.0/8",
            id="addresses",
        ),
        pytest.param(
            FilterChainMatch(server_names=("a", "b"), transport_protocol="tls"), "SNI: a,b; Trans: tls", id="two"
        ),
    ],
)
def test_criteria_are_told_as_istioctl_does(match: FilterChainMatch | None, told: str) -> None:
    assert plan_tables.match_of(match) == told
