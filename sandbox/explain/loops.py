"""Routes of a gateway by which calls come back to it: found by walking a call of each, and taken out of a plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

from sandbox.explain.call import Call
from sandbox.explain.cluster_steps import looks_names_up
from sandbox.explain.endpoint_steps import endpoints_of
from sandbox.explain.http_steps import request_facts
from sandbox.explain.regex_example import EXAMPLES, examples_of
from sandbox.explain.steps import Walk
from sandbox.explain.walk import GatewayLookup, explain
from sandbox.frozen_dataclass import dataclass
from sandbox.match.reference import choose_route, choose_virtual_host
from sandbox.plan import NodePlan
from sandbox.plan.base import DataSource, SocketAddress, StringMatcher
from sandbox.plan.because import Because
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import FilterChain, Listener, TcpProxy
from sandbox.plan.route import DirectResponseAction, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost
from sandbox.plan.tls import DownstreamTlsContext

LOOP_DETECTED: Final = 508
"""RFC 5842, section 7.2."""
BODY: Final = "egress: this route leads back to its own gateway, see egress check"
ANY_DOMAIN: Final = "*"
NO_CLUSTER: Final = "loop|"
"""Before the name of a cluster that a connection of a loop is kept from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A route (or a TCP proxy's chain) in a circle."""

    what: Route | TcpProxy
    walk: Walk
    """A call that shows it, from the gateway on."""
    because: tuple[Because, ...]

    def __str__(self) -> str:
        call, through = self.walk.call, [node.workload for node in self.walk.nodes]
        host = call.authority if isinstance(self.what, Route) else call.sni or call.host
        by = f" by {', '.join(through[1:])}" if through[1:] else ""
        return f"calls for {host} at gateway {through[0]}, port {call.port}, come back to it{by}: they go in circles"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Try:
    """A call that takes a certain route."""

    call: Call
    what: Route | TcpProxy
    because: tuple[Because, ...]


def find_loops(plan: NodePlan, address: str, gateways: GatewayLookup, names: Collection[str] = ()) -> tuple[Loop, ...]:
    """The loops that the gateway at ``address`` is part of; ``names`` are those that lead to gateways."""
    search = _Search(plan, address, gateways, names)
    found: list[Loop] = []
    for each in search.tries():
        if any(loop.what is each.what for loop in found):
            continue
        walk = explain(plan, each.call, gateways=gateways)
        *_, last = walk.nodes
        if last.outcome.loop_to == walk.station:
            found.append(Loop(what=each.what, walk=walk, because=each.because))
    return tuple(found)


class _Search:
    """The calls of one gateway that are worth walking: those whose cluster leads to a gateway."""

    def __init__(self, plan: NodePlan, address: str, gateways: GatewayLookup, names: Collection[str]) -> None:
        self._plan = plan
        self._address = address
        self._names = names
        self._gateways = gateways
        self._leads: dict[str, bool] = {}

    def tries(self) -> Iterator[_Try]:
        for listener in self._plan.listeners:
            if isinstance(listener.address, SocketAddress):
                for chain in listener.all_chains:
                    yield from self._of_chain(listener.address.port_value or 0, chain)

    def _of_chain(self, port: int, chain: FilterChain) -> Iterator[_Try]:
        match = chain.filter_chain_match
        names = match.server_names if match is not None else ()
        sni = _name(names[0]) if names else ""
        for each in chain.filters:
            config = each.typed_config
            if isinstance(config, TcpProxy):
                call = self._call(scheme="tls" if sni else "tcp", host=sni or self._address, port=port, sni=sni)
                if any(self._leads_to_gateway(name) for name in config.cluster_names):
                    yield _Try(call=call, what=config, because=(*chain.because, *config.because))
            elif isinstance(config, HttpConnectionManager):
                socket = chain.transport_socket
                is_tls = socket is not None and isinstance(socket.typed_config, DownstreamTlsContext)
                yield from self._of_manager(config, "https" if is_tls else "http", port, sni)

    def _of_manager(self, manager: HttpConnectionManager, scheme: str, port: int, sni: str) -> Iterator[_Try]:
        configuration = manager.route_config
        if configuration is None and manager.rds is not None:
            configuration = self._plan.route_configurations.get(manager.rds.route_config_name)
        if configuration is None:
            return
        for host, route in configuration.routes():
            action = route.action
            if not isinstance(action, RouteAction):
                continue
            if not any(self._leads_to_gateway(name) for name in action.cluster_names):
                continue
            for name in self._names_of(host, action.cluster_names):
                call = self._call(scheme=scheme, host=name, port=port, sni=sni or name)
                fitted = next((each for each in _fitted(call, route) if _takes(configuration, host, route, each)), None)
                if fitted is not None:
                    yield _Try(call=fitted, what=route, because=route.because)

    def _names_of(self, host: VirtualHost, clusters: Sequence[str]) -> Iterator[str]:
        """An example; and where names are looked up, the gateways' own that the domains are written for."""
        yield _name(host.domains[0]) if host.domains else ""
        known = [self._plan.clusters[name] for name in clusters if name in self._plan.clusters]
        if any(looks_names_up(cluster) for cluster in known):
            patterns = [domain for domain in host.domains if domain != ANY_DOMAIN]
            yield from (name for name in self._names if any(fnmatchcase(name, each) for each in patterns))

    def _call(self, *, scheme: str, host: str, port: int, sni: str) -> Call:
        return Call(scheme=scheme, host=host, port=port, sni=sni, address=self._address, is_mutual=scheme == "https")

    def _leads_to_gateway(self, name: str) -> bool:
        known = self._leads.get(name)
        if known is None:
            known = self._leads[name] = self._is_way_to_gateway(name)
        return known

    def _is_way_to_gateway(self, name: str) -> bool:
        cluster = self._plan.clusters.get(name)
        if cluster is None:
            return False
        if cluster.type == "ORIGINAL_DST" or looks_names_up(cluster):
            return True
        return any(
            self._gateways(address.address, address.port_value or 0) is not None for address in endpoints_of(cluster)
        )


def _name(pattern: str) -> str:
    """A name that a domain or server name fits."""
    return pattern.replace("*", "any") if pattern != "*" else "any.example.com"


def _takes(configuration: RouteConfiguration, host: VirtualHost, route: Route, call: Call) -> bool:
    """Whether the call takes this route, and no other before it."""
    facts = request_facts(call)
    chosen = choose_virtual_host(configuration, call.authority.encode()).chosen
    return chosen is host and choose_route(host, facts).chosen is route


def _fitted(call: Call, route: Route) -> Iterator[Call]:
    """Calls as the route's match wants them, as far as its patterns tell."""
    match = route.match or RouteMatch()
    for path in _paths(match):
        for number in range(EXAMPLES):
            yield _with_headers(replace(call, path=path + _query(match, number)), match, number)


def _paths(match: RouteMatch) -> tuple[str, ...]:
    if match.safe_regex is None:
        return (match.path or match.prefix or match.path_separated_prefix or "/",)
    return tuple(text if text.startswith("/") else f"/{text}" for text in examples_of(match.safe_regex.regex))


def _with_headers(call: Call, match: RouteMatch, number: int) -> Call:
    authority, method = call.host, call.method
    headers = []
    for matcher in match.headers:
        value = _value(matcher.string_match, number)
        if matcher.name == ":method":
            method = value
        elif matcher.invert_match:
            continue
        elif matcher.name == ":authority":
            authority = value
        else:
            headers.append((matcher.name, value))
    return replace(call, method=method, headers=(("Host", authority), *headers))


def _query(match: RouteMatch, number: int) -> str:
    queries = [f"{each.name}={_value(each.string_match, number, '')}" for each in match.query_parameters]
    return f"?{'&'.join(queries)}" if queries else ""


def _value(wanted: StringMatcher | None, number: int, anything: str = "x") -> str:
    """A value that is wanted, one of several where a pattern says."""
    if wanted is None:
        return anything
    if wanted.safe_regex is not None:
        examples = examples_of(wanted.safe_regex.regex)
        return examples[number % len(examples)] if examples else anything
    return wanted.exact or wanted.prefix or wanted.suffix or wanted.contains or anything


def without_loops(plan: NodePlan, loops: tuple[Loop, ...]) -> NodePlan:
    """The plan with what is in a circle refused: requests by 508, connections for want of a cluster."""
    if not loops:
        return plan
    gone = {id(loop.what) for loop in loops}
    return replace(
        plan,
        listeners=tuple(_listener_without(listener, gone) for listener in plan.listeners),
        route_configurations={
            name: _configuration_without(each, gone) for name, each in plan.route_configurations.items()
        },
    )


def _configuration_without(configuration: RouteConfiguration, gone: set[int]) -> RouteConfiguration:
    hosts = tuple(
        replace(host, routes=tuple(_refused(route) if id(route) in gone else route for route in host.routes))
        for host in configuration.virtual_hosts
    )
    return replace(configuration, virtual_hosts=hosts)


def _refused(route: Route) -> Route:
    body = DataSource(inline_string=BODY)
    return replace(route, action=DirectResponseAction(status=LOOP_DETECTED, body=body), typed_per_filter_config=None)


def _listener_without(listener: Listener, gone: set[int]) -> Listener:
    chains = tuple(_chain_without(chain, gone) for chain in listener.filter_chains)
    default = listener.default_filter_chain
    return replace(
        listener,
        filter_chains=chains,
        default_filter_chain=_chain_without(default, gone) if default is not None else None,
    )


def _chain_without(chain: FilterChain, gone: set[int]) -> FilterChain:
    filters = tuple(
        replace(each, typed_config=replace(each.typed_config, cluster=f"{NO_CLUSTER}{each.typed_config.cluster}"))
        if isinstance(each.typed_config, TcpProxy) and id(each.typed_config) in gone
        else each
        for each in chain.filters
    )
    return replace(chain, filters=filters)
