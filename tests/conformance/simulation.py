"""One simulated call through a plan, with the matching rules of Istio's ``pilot/pkg/simulation/traffic.go``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.match.facts import ConnectionFacts, RequestFacts
from sandbox.match.filter_chain_table import FilterChainTable
from sandbox.match.listener_table import ListenerTable
from sandbox.match.route_table import RouteTable
from sandbox.match.virtual_host_table import VirtualHostTable
from sandbox.plan import NodePlan
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import FilterChain, Listener, TcpProxy
from sandbox.plan.route import RouteAction, RouteConfiguration, VirtualHost
from sandbox.plan.tls import DownstreamTlsContext

DEFAULT_ADDRESS = "1.3.3.7"
TLS_INSPECTOR = "envoy.filters.listener.tls_inspector"
HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"
_ALPN = {
    ("tls", "http"): "http/1.1",
    ("tls", "http2"): "h2",
    ("mtls", "http"): "istio-http/1.1",
    ("mtls", "http2"): "istio-h2",
    ("mtls", "tcp"): "istio",
}
_INSPECTED = {"http": "http/1.1", "http2": "h2c"}


@dataclass(frozen=True)
class Outcome:
    """What became of a call; empty where it did not get so far."""

    error: str | None = None
    listener: str = ""
    filter_chain: str = ""
    route: str = ""
    route_config: str = ""
    virtual_host: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Call:
    """A call with the defaults of Istio's simulation."""

    port: int
    protocol: str
    address: str = DEFAULT_ADDRESS
    host: str = ""
    path: str = "/"
    tls: str = ""
    sni: str = ""
    alpn: str = ""
    headers: dict[str, Any] = field(default_factory=dict)


def call_of(case: dict[str, Any]) -> Call:
    """The call as a case gives it."""
    tls = {"plaintext": ""}.get(case.get("tls", ""), case.get("tls", ""))
    host, protocol = case.get("host", ""), case.get("protocol", "tcp")
    return Call(
        port=case["port"],
        protocol=protocol,
        address=case.get("address") or DEFAULT_ADDRESS,
        host=host,
        path=case.get("path") or "/",
        tls=tls,
        sni=case.get("sni") or (host if tls else ""),
        alpn=case.get("alpn") or _ALPN.get((tls, protocol), ""),
        headers=case.get("headers") or {},
    )


def simulate(plan: NodePlan, call: Call) -> Outcome:
    """Listener, filter chain, TLS, virtual host and route of one call."""
    listener = _find_listener(plan, call)
    if listener is None:
        return Outcome(error="ErrNoListener")
    outcome = Outcome(listener=listener.name)
    if has_twins(listener.filter_chains):
        return replace(outcome, error="ErrMultipleFilterChain")
    chain = FilterChainTable(listener).find(_facts(listener, call))
    if chain is None:
        return replace(outcome, error="ErrNoFilterChain")
    outcome = replace(outcome, filter_chain=chain.name)
    terminates = isinstance(chain.transport_socket and chain.transport_socket.typed_config, DownstreamTlsContext)
    error = _handshake(chain, call, terminates)
    if error is not None:
        return replace(outcome, error=error)
    filters = [entry.typed_config for entry in chain.filters]
    manager = next((entry for entry in filters if isinstance(entry, HttpConnectionManager)), None)
    if manager is None:
        proxy = next(entry for entry in filters if isinstance(entry, TcpProxy))
        weighted = proxy.weighted_clusters.clusters[0].name if proxy.weighted_clusters is not None else ""
        return replace(outcome, cluster=proxy.cluster or weighted)
    if call.protocol not in ("http", "http2") or (call.tls and not terminates):
        return replace(outcome, error="ErrProtocolError")
    configuration = manager.route_config
    if manager.rds is not None:
        name = manager.rds.route_config_name
        configuration = plan.route_configurations.get(name) or RouteConfiguration(name=name)
    assert configuration is not None
    return _route(configuration, call, outcome)


def _find_listener(plan: NodePlan, call: Call) -> Listener | None:
    """As Istio simulates it, ``0.0.0.0`` stands for the addresses of both families."""
    table = ListenerTable(plan.listeners)
    found = table.find(call.address, call.port)
    return table.find("0.0.0.0", call.port) if ":" in call.address and found is table.virtual_outbound else found


def has_twins(chains: Sequence[FilterChain]) -> bool:
    """Whether two chains have the same criteria, which Envoy refuses."""
    keys = [repr(chain.filter_chain_match) for chain in chains]
    return len(set(keys)) < len(keys)


def _facts(listener: Listener, call: Call) -> ConnectionFacts:
    inspectors = {entry.name for entry in listener.listener_filters}
    transport = "raw_buffer"
    protocols: tuple[str, ...] = ()
    if call.tls and TLS_INSPECTOR in inspectors:
        transport, protocols = "tls", (call.alpn,) if call.alpn else ()
    elif not call.tls and HTTP_INSPECTOR in inspectors:
        protocols = (_INSPECTED[call.protocol],) if call.protocol in _INSPECTED else ()
    return ConnectionFacts(
        destination_ip=call.address,
        destination_port=call.port,
        transport_protocol=transport,
        server_name=call.sni.lower(),
        application_protocols=protocols,
    )


def _handshake(chain: FilterChain, call: Call, terminates: bool) -> str | None:
    if not terminates:
        return None
    if not call.tls:
        return "ErrTLSError"
    assert chain.transport_socket is not None
    context = chain.transport_socket.typed_config
    assert isinstance(context, DownstreamTlsContext)
    if bool(context.require_client_certificate) != (call.tls == "mtls"):
        return "ErrMTLSError"
    return None


def _route(configuration: RouteConfiguration, call: Call, outcome: Outcome) -> Outcome:
    outcome = replace(outcome, route_config=configuration.name)
    host = VirtualHostTable(configuration).find(call.host.encode())
    if host is None:
        return replace(outcome, error="ErrNoVirtualHost")
    outcome = replace(outcome, virtual_host=host.name)
    if host.require_tls == "ALL" and not call.tls:
        return replace(outcome, error="ErrTLSRedirect")
    route = RouteTable(host).find(_request(call))
    if route is None:
        return replace(outcome, error="ErrNoRoute")
    outcome = replace(outcome, route=route.name)
    if not isinstance(route.action, RouteAction):
        return outcome
    weighted = route.action.weighted_clusters
    return replace(outcome, cluster=route.action.cluster or (weighted.clusters[0].name if weighted is not None else ""))


def _request(call: Call) -> RequestFacts:
    headers = [(name.lower().encode(), _first(value).encode()) for name, value in call.headers.items()]
    scheme = b"https" if call.tls else b"http"
    return RequestFacts(b"GET", call.path.encode(), call.host.encode(), scheme, headers)


def _first(value: Any) -> str:
    return str(value[0]) if isinstance(value, list) else str(value)


def check_call(plan: NodePlan, case: dict[str, Any]) -> None:
    """Run a case's call and compare what its expectation names."""
    outcome = simulate(plan, call_of(case))
    expect = case["expect"]
    actual = {
        "error": outcome.error,
        "listener": outcome.listener,
        "filterChain": outcome.filter_chain,
        "route": outcome.route,
        "routeConfig": outcome.route_config,
        "virtualHost": outcome.virtual_host,
        "cluster": outcome.cluster,
    }
    strict = expect.get("strict", False)
    wrong = {
        key: (value, expect.get(key))
        for key, value in actual.items()
        if (key in expect or (strict and key not in ("filterChain", "route")))
        and (expect.get(key) or "") != (value or "")
    }
    assert not wrong, f"{case.get('name') or case['port']}: (actual, expected) {wrong}"


def virtual_hosts_by_domain(configuration: RouteConfiguration) -> dict[str, VirtualHost]:
    """Every domain with its virtual host."""
    return {domain: host for host in configuration.virtual_hosts for domain in host.domains}
