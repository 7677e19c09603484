"""A plan as istioctl's ``proxy-config`` tables: the same headings, order and words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sandbox.cli.terminal import table
from sandbox.plan import NodePlan
from sandbox.plan.base import Address, SocketAddress
from sandbox.plan.because import Because
from sandbox.plan.cluster import Cluster
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import Filter, FilterChain, FilterChainMatch, TcpProxy
from sandbox.plan.route import Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost
from sandbox.yaml_source.span import Origin

# istioctl's names for the ALPN lists that istiod writes.
PROTOCOL_WORDS = {
    ("http/1.0", "http/1.1", "h2c", "istio-http/1.0", "istio-http/1.1", "istio-h2"): "App: HTTP TLS",
    ("istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"): "App: Istio HTTP Plain",
    ("istio-peer-exchange", "istio"): "App: TCP TLS",
    ("http/1.0", "http/1.1", "h2c"): "App: HTTP",
}
MOST_DOMAINS = 2


def listeners(plan: NodePlan) -> str:
    """``istioctl proxy-config listeners``."""
    rows: list[tuple[str, str, str, str]] = []
    for listener in sorted(plan.listeners, key=lambda one: (_port(one.address), _address(one.address))):
        addresses = ",".join(
            [_address(listener.address), *(_address(a.address) for a in listener.additional_addresses)]
        )
        found = [(match_of(chain.filter_chain_match), destination_of(chain)) for chain in listener.all_chains]
        rows += [
            (addresses, str(_port(listener.address)), match, destination)
            for match, destination in sorted(found, key=lambda row: row[1], reverse=True)
        ]
    return table(("ADDRESSES", "PORT", "MATCH", "DESTINATION"), rows, gap=1)


def routes(plan: NodePlan) -> str:
    """``istioctl proxy-config routes``."""
    ordered = sorted(plan.route_configurations.values(), key=_by_number)
    rows = [row for configuration in ordered for row in _route_rows(configuration)]
    return table(("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"), rows)


def clusters(plan: NodePlan) -> str:
    """``istioctl proxy-config clusters``."""
    headings = ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")
    return table(headings, [_cluster_row(cluster) for cluster in sorted(plan.clusters.values(), key=_by_host)])


def endpoints(plan: NodePlan) -> str:
    """``istioctl proxy-config endpoints``."""
    rows = [
        (_endpoint_address(endpoint.endpoint.address), "HEALTHY", "/".join(_locality(group.locality)), cluster.name)
        for cluster in plan.clusters.values()
        if cluster.load_assignment is not None
        for group in cluster.load_assignment.endpoints
        for endpoint in group.lb_endpoints
        if endpoint.endpoint is not None
    ]
    return table(("NAME", "STATUS", "LOCALITY", "CLUSTER"), sorted(rows))


def names(plan: NodePlan) -> Mapping[str, list[str]]:
    """What the DNS proxy answers: host to addresses."""
    return {host: list(entry.addresses) for host, entry in plan.name_table.hosts.items()}


def names_table(plan: NodePlan) -> str:
    """The same as a table."""
    return table(("NAME", "ADDRESSES"), [(host, ",".join(found)) for host, found in sorted(names(plan).items())])


def match_of(match: FilterChainMatch | None) -> str:
    """A chain's criteria in istioctl's words."""
    if match is None:
        return "ALL"
    words = []
    if match.server_names:
        words.append("SNI: " + ",".join(match.server_names))
    if match.transport_protocol:
        words.append("Trans: " + match.transport_protocol)
    if match.application_protocols:
        protocols = match.application_protocols
        words.append(PROTOCOL_WORDS.get(protocols, "App: " + ",".join(protocols)))
    port = f":{match.destination_port}" if match.destination_port is not None else ""
    ranges = ",".join(f"{one.address_prefix}/{one.prefix_len or 0}" for one in match.prefix_ranges)
    if ranges or port:
        words.append(f"Addr: {ranges or '*'}{port}")
    return "; ".join(words) or "ALL"


def destination_of(chain: FilterChain) -> str:
    """Where a chain leads: a route configuration, or a cluster."""
    for network_filter in chain.filters:
        if (told := _destination(network_filter)) is not None:
            return told
    return "Non-HTTP/Non-TCP"


def _destination(network_filter: Filter) -> str | None:
    match network_filter.typed_config:
        case HttpConnectionManager(route_config=RouteConfiguration() as inline):
            return _inline_routes(inline)
        case HttpConnectionManager(rds=rds) if rds is not None and rds.route_config_name:
            return f"Route: {rds.route_config_name}"
        case HttpConnectionManager():
            return "HTTP"
        case TcpProxy(cluster="BlackHoleCluster"):
            return None
        case TcpProxy(cluster=cluster):
            return cluster if "Cluster" in (cluster or "") else f"Cluster: {cluster or ''}"
        case _:
            return None


def _inline_routes(configuration: RouteConfiguration) -> str:
    match configuration.virtual_hosts:
        case [
            VirtualHost(domains=("*",), routes=(Route(match=RouteMatch(prefix="/"), action=RouteAction() as action),))
        ]:
            if action.cluster is not None:
                return action.cluster if "Cluster" in action.cluster else f"Cluster: {action.cluster}"
        case _:
            pass
    hosts = []
    for host in configuration.virtual_hosts:
        told = ", ".join(_path_of(route.match) for route in host.routes)
        domains = "" if host.domains == ("*",) else "/".join(host.domains) + " "
        hosts.append(domains + told)
    return f"Inline Route: {'; '.join(hosts)}"


def _route_rows(configuration: RouteConfiguration) -> Iterator[tuple[str, str, str, str, str]]:
    for host in configuration.virtual_hosts:
        domains = _domains(host.domains)
        for route in host.routes:
            if isinstance(route.action, RouteAction) and route.action.cluster == "PassthroughCluster":
                continue
            owner = _owner(route.because, "VirtualService")
            yield configuration.name, host.name, domains, _path_of(route.match), owner
        if not host.routes:
            yield configuration.name, host.name, domains, "/*", "404"


def _cluster_row(cluster: Cluster) -> tuple[str, str, str, str, str, str]:
    kind = cluster.type or (cluster.cluster_type.name if cluster.cluster_type else "STATIC")
    owner = _owner(cluster.because, "DestinationRule")
    parts = cluster.name.split("|")
    if len(parts) < 4:
        return cluster.name, "-", "-", "-", kind, owner
    direction, port, subset, host = parts
    return host, port, subset or "-", direction, kind, owner


def _owner(because: Iterable[Because], kind: str) -> str:
    """``name.namespace`` of the first object of ``kind`` among the reasons."""
    for reason in because:
        if isinstance(reason.origin, Origin) and reason.origin.resource.kind == kind:
            return f"{reason.origin.resource.name}.{reason.origin.resource.namespace}"
    return ""


def _domains(domains: tuple[str, ...]) -> str:
    """The domains without their port, long forms of a listed short one left out, two of them named."""
    if len(domains) == 1:
        return domains[0]
    plain = [one for one in domains if ":" not in one or (one.count(":") > 2 and one.endswith("]"))]
    there = set(plain)
    long = {
        one for one in plain for suffix in (".svc.cluster.local", ".svc")
        if one.endswith(suffix) and one.removesuffix(suffix) in there
    }  # fmt: skip
    kept = [one for one in plain if one not in long]
    more = len(kept) - MOST_DOMAINS
    return ", ".join(kept[:MOST_DOMAINS]) + (f" + {more} more..." if more > 0 else "")


def _path_of(match: RouteMatch | None) -> str:
    if match is None:
        return ""
    words = []
    if match.prefix:
        words.append(f"{match.prefix}*")
    if match.path_separated_prefix:
        words.append(f"PathPrefix:{match.path_separated_prefix}")
    if match.path:
        words.append(match.path)
    if match.safe_regex is not None:
        words.append(f"regex {match.safe_regex.regex}")
    return " ".join(words)


def _by_number(configuration: RouteConfiguration) -> tuple[bool, int, str]:
    """Routes named by a port come first, by number."""
    name = configuration.name
    return (not name.isdigit(), int(name) if name.isdigit() else 0, name)


def _by_host(cluster: Cluster) -> tuple[str, int, str]:
    parts = cluster.name.split("|")
    return (parts[3], int(parts[1] or 0), parts[2]) if len(parts) == 4 else (cluster.name, 0, "")


def _address(address: Address | None) -> str:
    return address.address if isinstance(address, SocketAddress) else (address.path if address else "")


def _port(address: Address | None) -> int:
    return (address.port_value or 0) if isinstance(address, SocketAddress) else 0


def _endpoint_address(address: Address | None) -> str:
    return f"{address.address}:{address.port_value}" if isinstance(address, SocketAddress) else _address(address)


def _locality(locality: object) -> list[str]:
    parts = [getattr(locality, level, "") for level in ("region", "zone", "sub_zone")]
    while parts and not parts[-1]:
        parts.pop()
    return parts
