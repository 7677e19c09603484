"""EnvoyFilter at gateways: clusters and internal listeners that are added, and changes of the TCP proxy.

What is patched is Envoy's own configuration, so that a patch is read as such, by the codec of the plan. An EnvoyFilter
with a field that the plan does not know, or a patch of another kind, is not applied at all, and reported (SBX0202).
Source: Istio pilot/pkg/model/push_context.go (``EnvoyFilters``), pilot/pkg/networking/core/envoyfilter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sandbox.compiler.ages import by_creation_time
from sandbox.compiler.label_selectors import selects
from sandbox.compiler.provenance import written
from sandbox.envoy_config.codec import UnknownField, decode, encode
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.envoy_filter import is_of_applied_kind
from sandbox.plan.base import SocketAddress
from sandbox.plan.cluster import Cluster
from sandbox.plan.listener import Filter, FilterChain, FilterChainMatch, Listener, TcpProxy

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.istio.envoy_filter import EnvoyConfigObjectPatch, EnvoyFilter, ListenerMatch
    from sandbox.istio.resource import Resource
    from sandbox.plan import NodePlan
    from sandbox.plan.because import Because
    from sandbox.yaml_source.span import Origin

_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_FIELD: Final = re.compile(r"[a-z][A-Za-z0-9_]*")
_FREE: Final = frozenset({("transport_socket_matches", "match")})
"""Fields whose content has names of its own, as ``filter_metadata`` has everywhere."""
_CLUSTER_CHOICES: Final = ("cluster", "weighted_clusters")


@dataclass(frozen=True, slots=True, kw_only=True)
class _TcpProxyChange:
    """A MERGE of the TCP proxy: the fields it has, and where it applies."""

    match: ListenerMatch | None
    name: str
    fields: Mapping[str, Any]
    because: Because
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class _Patches:
    """One EnvoyFilter, read."""

    clusters: tuple[Cluster, ...]
    listeners: tuple[Listener, ...]
    changes: tuple[_TcpProxyChange, ...]


class _Unreadable(Exception):
    """A patch of a kind that is applied, with a value that is not."""

    def __init__(self, patch: EnvoyConfigObjectPatch, reason: str) -> None:
        super().__init__(reason)
        self.origin = patch.origin


def patched_gateway(push: PushContext, proxy: Proxy, plan: NodePlan) -> NodePlan:
    """The plan as the EnvoyFilters of the root namespace, then of the gateway's, make it."""
    for resource in _selected(push, proxy):
        try:
            patches = _read(resource.spec.config_patches)
        except _Unreadable as error:
            push.problems.report("SBX0202", f"{resource.ref} is not applied: {error}", error.origin)
            continue
        for change in patches.changes:
            if not any(_changes(listener, change) for listener in plan.listeners):
                _report_unfit(push, resource, plan, change)
        listeners = tuple(_changed(listener, patches.changes) for listener in plan.listeners)
        added = {cluster.name: cluster for cluster in patches.clusters}
        plan = replace(plan, listeners=(*listeners, *patches.listeners), clusters={**plan.clusters, **added})
    return plan


def _report_unfit(push: PushContext, resource: Resource[EnvoyFilter], plan: NodePlan, change: _TcpProxyChange) -> None:
    """A patch that istiod passes over in silence; one for all gateways may well be meant for another of them."""
    is_for_this = resource.spec.workload_selector is not None
    push.problems.report(
        "SBX0546",
        f"the patch fits no TCP proxy of the gateway {plan.workload}, and changes nothing: {_misfit(plan, change)}",
        change.origin,
        hint="match.listener.portNumber is the port that the gateway's pod listens on, not that of its Service",
        severity="warning" if is_for_this else "info",
    )


def _misfit(plan: NodePlan, change: _TcpProxyChange) -> str:
    """How far the patch gets."""
    listeners = [listener for listener in plan.listeners if _fits_listener(listener, change.match)]
    if not listeners:
        known = ", ".join(listener.name for listener in plan.listeners)
        return f"it has {f'only the listeners {known}' if known else 'no listener'}"
    chains = [chain for listener in listeners for chain in listener.filter_chains if _fits_chain(chain, change.match)]
    named = ", ".join(listener.name for listener in listeners)
    if not chains:
        return f"no filter chain of {named} has what filterChain asks for"
    filters = dict.fromkeys(each.name for chain in chains for each in chain.filters)
    return f"the filters of {named} are {', '.join(filters)}"


def _selected(push: PushContext, proxy: Proxy) -> Iterator[Resource[EnvoyFilter]]:
    filters = push.configuration.resources("EnvoyFilter")
    ordered = sorted(by_creation_time(filters), key=lambda resource: resource.spec.priority)
    for namespace in dict.fromkeys((push.configuration.root_namespace, proxy.namespace)):
        for resource in ordered:
            selector = resource.spec.workload_selector
            labels = selector.labels if selector is not None else {}
            is_ours = resource.namespace == namespace and selects(labels, proxy.labels)
            if is_ours and is_of_applied_kind(resource.spec):
                yield resource


def _read(patches: Iterable[EnvoyConfigObjectPatch]) -> _Patches:
    clusters: list[Cluster] = []
    listeners: list[Listener] = []
    changes: list[_TcpProxyChange] = []
    for each in patches:
        match read := _read_patch(each):
            case Cluster():
                clusters.append(read)
            case Listener():
                listeners.append(read)
            case _TcpProxyChange():
                changes.append(read)
    return _Patches(clusters=tuple(clusters), listeners=tuple(listeners), changes=tuple(changes))


def _read_patch(patch: EnvoyConfigObjectPatch) -> Cluster | Listener | _TcpProxyChange:
    value = _snake_case(patch.patch.value if patch.patch is not None else None)
    because = written("EnvoyFilter", patch)
    try:
        if patch.apply_to == "CLUSTER":
            return replace(decode(Cluster, value), because=(because,))
        if patch.apply_to == "LISTENER":
            return replace(decode(Listener, value), because=(because,))
        fields = {key: item for key, item in value["typed_config"].items() if key != "@type"}
        decode(TcpProxy, fields)
    except UnknownField as error:
        raise _Unreadable(patch, str(error)) from None
    except (ValueError, TypeError, KeyError, AttributeError):  # how the codec stumbles over values of another type
        raise _Unreadable(patch, "a value of this patch is not of the type that its field takes") from None
    listener = patch.match.listener if patch.match is not None else None
    return _TcpProxyChange(
        match=listener, name=str(value.get("name", "")), fields=fields, because=because, origin=patch.origin
    )


def _snake_case(value: Any, holder: str = "") -> Any:
    """Field names as in the proto; JSON allows ``typedConfig`` too. Names that are no fields stay as they are."""
    if isinstance(value, Mapping):
        fields: dict[str, Any] = {}
        for key, item in value.items():
            name = _CAPITAL.sub(r"_\1", key).lower() if _FIELD.fullmatch(key) else key
            fields[name] = item if (holder, name) in _FREE or name == "filter_metadata" else _snake_case(item, name)
        return fields
    return [_snake_case(item, holder) for item in value] if isinstance(value, list) else value


def _changes(listener: Listener, change: _TcpProxyChange) -> bool:
    """Whether it fits one of the listener's TCP proxies."""
    if not _fits_listener(listener, change.match):
        return False
    chains = (chain for chain in listener.filter_chains if _fits_chain(chain, change.match))
    return any(_fits_filter(each, change.match) for chain in chains for each in chain.filters)


def _changed(listener: Listener, changes: tuple[_TcpProxyChange, ...]) -> Listener:
    for change in changes:
        if _fits_listener(listener, change.match):
            chains = tuple(_changed_chain(chain, change) for chain in listener.filter_chains)
            listener = replace(listener, filter_chains=chains)
    return listener


def _changed_chain(chain: FilterChain, change: _TcpProxyChange) -> FilterChain:
    if not _fits_chain(chain, change.match):
        return chain
    filters = tuple(_changed_filter(each, change) for each in chain.filters)
    return replace(chain, filters=filters) if filters != chain.filters else chain


def _changed_filter(network_filter: Filter, change: _TcpProxyChange) -> Filter:
    config = network_filter.typed_config
    if not isinstance(config, TcpProxy) or not _fits_filter(network_filter, change.match):
        return network_filter
    merged = decode(TcpProxy, _merged(encode(config), change.fields))
    merged = replace(merged, because=(*config.because, change.because))
    return replace(network_filter, name=change.name or network_filter.name, typed_config=merged)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """protobuf's merge: messages merge, repeated fields add up, of a oneof the later one counts."""
    merged = dict(base)
    if any(choice in over for choice in _CLUSTER_CHOICES):
        merged = {key: value for key, value in merged.items() if key not in _CLUSTER_CHOICES}
    for key, value in over.items():
        known = merged.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            value = _merged(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            value = [*known, *value]
        merged[key] = value
    return merged


def _fits_listener(listener: Listener, match: ListenerMatch | None) -> bool:
    if match is None:
        return True
    port = listener.address.port_value if isinstance(listener.address, SocketAddress) else None
    return match.name in ("", listener.name) and match.port_number in (0, port)


def _fits_chain(chain: FilterChain, match: ListenerMatch | None) -> bool:
    wanted = match.filter_chain if match is not None else None
    if wanted is None:
        return True
    facts = chain.filter_chain_match or FilterChainMatch()
    protocols = wanted.application_protocols.split(",") if wanted.application_protocols else []
    return (
        wanted.name in ("", chain.name)
        and (not wanted.sni or wanted.sni in facts.server_names)
        and wanted.transport_protocol in ("", facts.transport_protocol)
        and all(protocol in facts.application_protocols for protocol in protocols)
        and wanted.destination_port in (0, facts.destination_port)
    )


def _fits_filter(network_filter: Filter, match: ListenerMatch | None) -> bool:
    wanted = match.filter_chain.filter if match is not None and match.filter_chain is not None else None
    is_wanted = wanted is None or wanted.name == network_filter.name
    return is_wanted and isinstance(network_filter.typed_config, TcpProxy)
