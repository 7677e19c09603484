"""istiod's environment: what its variables change in listeners and clusters (Istio's pilot/pkg/features)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.compiler import compile_node, find_proxy
from sandbox.compiler.push_context import PushContext
from sandbox.istio.load import load_texts
from sandbox.plan import NodePlan
from sandbox.plan.listener import CaresDnsResolverConfig
from sandbox.plan.tls import TransportSocket, UpstreamTlsContext

from .sidecars import CLIENT, service_entry

MUTUAL = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: default}
spec: {host: a.example.com, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
"""
OPERATOR = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {{name: istio}}
spec: {{values: {{pilot: {{env: {{{}}}}}}}}}
"""
ENTRY = service_entry("a.example.com", "80/HTTP")
CLUSTER = "outbound|80||a.example.com"


def plan(*texts: str, **environment: str) -> NodePlan:
    written = ", ".join(f"{name}: '{value}'" for name, value in environment.items())
    configuration = load_texts([("mesh.yaml", "---\n".join([CLIENT, OPERATOR.format(written), *texts]))])
    proxy = find_proxy(configuration, "default/client", "sidecar")
    assert proxy is not None
    return compile_node(PushContext(configuration), proxy)


@pytest.mark.parametrize(
    ("value", "jitter"),
    [
        pytest.param("250ms", timedelta(milliseconds=250), id="another"),
        pytest.param("0s", timedelta(0), id="none"),
        pytest.param("soon", timedelta(milliseconds=100), id="no duration"),
    ],
)
def test_the_jitter_of_dns_refreshes(value: str, jitter: timedelta) -> None:
    """``buildCluster`` (cluster_builder.go)."""
    found = plan(ENTRY, PILOT_DNS_JITTER_DURATION=value)
    assert found.clusters[CLUSTER].dns_jitter == jitter


@pytest.mark.parametrize(("value", "queries"), [("7", 7), ("many", 100)])
def test_how_many_queries_one_socket_sends(value: str, queries: int) -> None:
    """``buildCluster`` (cluster_builder.go)."""
    found = plan(ENTRY, PILOT_DNS_CARES_UDP_MAX_QUERIES=value)
    resolver = found.clusters[CLUSTER].typed_dns_resolver_config
    assert resolver is not None
    assert resolver.typed_config == CaresDnsResolverConfig(udp_max_queries=queries)


@pytest.mark.parametrize(
    ("value", "timeout"),
    [
        pytest.param("3s", timedelta(seconds=3), id="another"),
        pytest.param("0s", None, id="none"),
        pytest.param("long", timedelta(seconds=15), id="no duration"),
    ],
)
def test_the_time_for_a_handshake(value: str, timeout: timedelta | None) -> None:
    """``gatewayTransportSocketConnectTimeout`` (listener.go), for all chains that are built from options."""
    found = plan(ENTRY, PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT=value)
    listener = next(listener for listener in found.listeners if listener.name == "0.0.0.0_80")
    assert listener.filter_chains[0].transport_socket_connect_timeout == timeout


@pytest.mark.parametrize(
    ("variable", "value", "offered"),
    [
        ("PILOT_ENABLE_METADATA_EXCHANGE", "true", ("istio-peer-exchange", "istio")),
        ("PILOT_ENABLE_METADATA_EXCHANGE", "false", ("istio",)),
        ("PILOT_DISABLE_MX_ALPN", "true", ("istio",)),
    ],
)
def test_whether_peers_of_the_mesh_exchange_metadata(variable: str, value: str, offered: tuple[str, ...]) -> None:
    """``buildUpstreamTLSSettings`` (cluster_tls.go)."""
    found = plan(ENTRY, MUTUAL, **{variable: value})
    socket = found.clusters[CLUSTER].transport_socket
    assert isinstance(socket, TransportSocket)
    assert isinstance(socket.typed_config, UpstreamTlsContext)
    assert socket.typed_config.common_tls_context is not None
    assert socket.typed_config.common_tls_context.alpn_protocols == offered


def test_a_reload_heeds_what_has_changed() -> None:
    pushes: list[PushContext] = []
    jitter = None
    for value in ("1s", "2s"):
        text = "---\n".join([CLIENT, OPERATOR.format(f"PILOT_DNS_JITTER_DURATION: {value}"), ENTRY])
        configuration = load_texts([("mesh.yaml", text)])
        proxy = find_proxy(configuration, "default/client", "sidecar")
        assert proxy is not None
        pushes.append(PushContext(configuration, pushes[-1] if pushes else None))
        jitter = compile_node(pushes[-1], proxy).clusters[CLUSTER].dns_jitter
    assert jitter == timedelta(seconds=2)
