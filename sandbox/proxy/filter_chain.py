"""The network filters of a chain, put together once: what looks first, and who takes the connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.match.rbac import AccessFacts, AccessRules, denial_details, verdict_metadata
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import SniCluster, SniDynamicForwardProxy, TcpProxy
from sandbox.plan.rbac import NetworkRbac
from sandbox.plan.tls import DownstreamTlsContext
from sandbox.proxy.http_terminal import HttpTerminal
from sandbox.proxy.tcp_proxy import TcpProxyRuntime
from sandbox.proxy.tls_context import ServerTls

if TYPE_CHECKING:
    from sandbox.plan.listener import FilterChain
    from sandbox.proxy.downstream import DownstreamConnection
    from sandbox.proxy.listener import NetworkFilter
    from sandbox.proxy.snapshot import NodeRuntime

Step = Callable[["DownstreamConnection"], None]
"""Looks at a connection before the terminal filter and may note something for it."""

PEER_PRINCIPAL = "io.istio.peer_principal"


def filters_of_chain(chain: FilterChain, node: NodeRuntime) -> NetworkFilter:
    """The chain's filters as one thing that takes connections."""
    tls = _tls_of(chain, node)
    steps: list[Step] = []
    policies: list[Step] = []
    for each in chain.filters:
        config = each.typed_config
        match config:
            case HttpConnectionManager():
                return HttpTerminal(config, tls, node)
            case TcpProxy():
                return _stepwise(tuple(steps), TcpProxyRuntime(config, node, policies=tuple(policies), tls=tls))
            case NetworkRbac():
                policies.append(_authorize(config))
            case SniCluster():
                steps.append(_use_server_name_as_cluster)
            case SniDynamicForwardProxy():
                steps.append(_forward_to_server_name(config.port_value))
            case _:
                pass  # filters that only count or annotate (mongo_proxy, istio.stats) decide nothing
    return Closing()


def _tls_of(chain: FilterChain, node: NodeRuntime) -> ServerTls | None:
    config = chain.transport_socket.typed_config if chain.transport_socket else None
    if not isinstance(config, DownstreamTlsContext):
        return None
    timeout = chain.transport_socket_connect_timeout
    return ServerTls(config, node.secrets, timeout.total_seconds() if timeout else None)


class Closing:
    """A chain without a terminal filter: nothing can be done with the connection."""

    def take(self, connection: DownstreamConnection) -> None:
        """Closes it."""
        connection.socket.close()
        connection.finished()


def _stepwise(steps: tuple[Step, ...], terminal: NetworkFilter) -> NetworkFilter:
    return Stepwise(steps, terminal) if steps else terminal


class Stepwise:
    """Filters that look first, and the one that takes the connection."""

    __slots__ = ("_steps", "_terminal")

    def __init__(self, steps: tuple[Step, ...], terminal: NetworkFilter) -> None:
        self._steps = steps
        self._terminal = terminal

    def take(self, connection: DownstreamConnection) -> None:
        """Every step in its turn, then the terminal filter."""
        for step in self._steps:
            step(connection)
        self._terminal.take(connection)


def _use_server_name_as_cluster(connection: DownstreamConnection) -> None:
    if connection.requested_server_name:
        connection.upstream_cluster = connection.requested_server_name


def _forward_to_server_name(port: int | None) -> Step:
    def step(connection: DownstreamConnection) -> None:
        if connection.requested_server_name:
            connection.forward_authority = f"{connection.requested_server_name}:{port or 443}"

    return step


def _authorize(plan: NetworkRbac) -> Step:
    rules = None if plan.rules is None else AccessRules(plan.rules)
    dry_run = None if plan.shadow_rules is None else AccessRules(plan.shadow_rules)
    prefix = f"{plan.shadow_rules_stat_prefix}shadow_"

    def step(connection: DownstreamConnection) -> None:
        if connection.denial is not None:
            return
        facts = access_facts(connection)
        if dry_run is not None:
            verdict = verdict_metadata(prefix, *dry_run.judge(facts))
            connection.dry_run = {**(connection.dry_run or {}), **verdict}
        policy = None if rules is None else rules.decide(facts)
        connection.denial = None if policy is None else denial_details(policy)

    return step


def access_facts(connection: DownstreamConnection) -> AccessFacts:
    """What the authorization policies may know of a connection."""
    facts = AccessFacts(connection.destination_ip, connection.destination_port, connection.direct_remote_ip)
    facts.remote_ip = connection.remote_ip
    facts.server_name = connection.requested_server_name or ""
    tls = connection.tls
    if tls is not None and tls.peer_certificate is not None:
        names = tls.peer_uri_san or tls.peer_dns_san or tls.peer_subject or ""
        facts.principals = names.split(",") if tls.peer_uri_san or tls.peer_dns_san else (names,)
        if tls.peer_uri_san:
            facts.state = {PEER_PRINCIPAL: tls.peer_uri_san.partition(",")[0]}
    return facts
