"""Listeners without a port, as an EnvoyFilter adds them to a gateway, are walked through like any other."""

from __future__ import annotations

import pytest

from sandbox.explain.call import Call
from sandbox.explain.steps import Walk
from sandbox.explain.walk import Arrival, explain
from sandbox.plan import NodePlan
from sandbox.plan.base import Address, EnvoyInternalAddress, SocketAddress
from sandbox.plan.cluster import Cluster, ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints
from sandbox.plan.listener import (
    Filter,
    FilterChain,
    FilterChainMatch,
    InternalListenerConfig,
    Listener,
    ListenerFilter,
    TcpProxy,
    TlsInspector,
)
from sandbox.plan.tls import DownstreamTlsContext, TransportSocket, UpstreamTlsContext

GATEWAY = "10.0.0.20"
CALL = Call(scheme="https", host="a.example.com", port=443, address="10.9.9.9")


def cluster(name: str, address: Address, tls: TransportSocket | None = None) -> Cluster:
    group = LocalityLbEndpoints(lb_endpoints=(LbEndpoint(endpoint=Endpoint(address=address)),))
    return Cluster(name=name, load_assignment=ClusterLoadAssignment(endpoints=(group,)), transport_socket=tls)


def chain_to(name: str, tls: TransportSocket | None = None, match: FilterChainMatch | None = None) -> FilterChain:
    proxy = Filter(name="tcp", typed_config=TcpProxy(stat_prefix=name, cluster=name))
    return FilterChain(filters=(proxy,), transport_socket=tls, filter_chain_match=match)


def listener(port: int, chain: FilterChain) -> Listener:
    return Listener(name="outer", address=SocketAddress(address="0.0.0.0", port_value=port), filter_chains=(chain,))


def walk(call: Call, *, leads_to: str = "inner") -> Walk:
    """Through a sidecar that wraps all in its own TLS, to a gateway that unwraps it, and on to its inner listener."""
    hop = TransportSocket(name="tls", typed_config=UpstreamTlsContext(sni="outbound_.443_._.gateway"))
    end = TransportSocket(name="tls", typed_config=DownstreamTlsContext())
    names = FilterChainMatch(server_names=("a.example.com",))
    inner = Listener(
        name="inner",
        internal_listener=InternalListenerConfig(),
        listener_filters=(ListenerFilter(name="tls", typed_config=TlsInspector()),),
        filter_chains=(chain_to("outside", match=names),),
    )
    gateway = NodePlan(
        node_type="router",
        workload="istio-system/gateway",
        listeners=(listener(8443, chain_to("inside", end)), inner),
        clusters={
            "inside": cluster("inside", EnvoyInternalAddress(server_listener_name=leads_to)),
            "outside": cluster("outside", SocketAddress(address="10.1.1.1", port_value=443)),
        },
    )
    sidecar = NodePlan(
        node_type="sidecar",
        workload="default/web",
        listeners=(listener(443, chain_to("gateway")),),
        clusters={"gateway": cluster("gateway", SocketAddress(address=GATEWAY, port_value=8443), hop)},
    )
    arrival = Arrival(plan=gateway, address=GATEWAY, port=8443)
    found = explain(sidecar, call, gateways=lambda address, _port: arrival if address == GATEWAY else None)
    assert found.onward is not None
    return found.onward


def test_the_server_name_inside_decides_and_the_log_names_the_first_cluster() -> None:
    onward = walk(CALL)

    assert [step.found for step in onward.steps if step.kind in ("listener", "cluster")] == [
        "outer",
        "inside",
        "inner",
        "outside",
    ]
    assert (onward.outcome.is_forwarded, onward.outcome.cluster) == (True, "inside")
    assert onward.outcome.hop is not None
    assert onward.outcome.hop.address == "10.1.1.1"


@pytest.mark.parametrize(
    ("call", "leads_to", "flags"),
    [
        pytest.param(Call(scheme="https", host="b.example.com", port=443), "inner", ("NR",), id="another name inside"),
        pytest.param(CALL, "nowhere", ("UF", "URX"), id="no such listener"),
    ],
)
def test_what_no_inner_listener_takes_is_closed(call: Call, leads_to: str, flags: tuple[str, ...]) -> None:
    outcome = walk(call, leads_to=leads_to).outcome

    assert (outcome.is_forwarded, outcome.status, outcome.flags) == (False, 0, flags)
