"""Sidecars that see the same and are set up alike are told the same: what they are told is made once.

What istiod decides by a proxy is: conditions on labels, IP families, DNS domain, settings. A proxy's own address
matters only where it is that of a headless service's endpoint, its name only to tracing providers; clusters know its
locality, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sandbox.compiler.locality_settings import compares_labels
from sandbox.compiler.policy_attachment import GATEWAY_NAME_LABEL
from sandbox.compiler.proxy import Proxy
from sandbox.compiler.services import Resolution
from sandbox.istio.message import EMPTY

if TYPE_CHECKING:
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.sidecar_scope import SidecarScope

ResultT = TypeVar("ResultT")

_CONDITIONS: Final = "conditions on labels"
_HEADLESS: Final = "addresses of headless services"
_COMPARED: Final = "what clusters compare with endpoints"
_SELECTING_KINDS: Final = ("Telemetry", "AuthorizationPolicy", "DestinationRule", "RequestAuthentication")
_Condition = tuple[str, str]
"""A label and the value it must have."""


def shared(scope: SidecarScope, what: str, facts: tuple[Any, ...], build: Callable[[], ResultT]) -> ResultT:
    """What ``build`` made for a proxy of the same facts, or makes now."""
    made: list[tuple[Any, ResultT]] = scope.cache.setdefault((shared, what), [])  # type: ignore[assignment]  # one key, one type
    for known, result in made:
        if known == facts:
            return result
    result = build()
    made.append((facts, result))
    return result


def facts_of(push: PushContext, proxy: Proxy, scope: SidecarScope) -> tuple[Any, ...]:
    """What listeners, routes and names of this scope know of a proxy."""
    conditions = _once(push.cache, _CONDITIONS, lambda: frozenset(_conditions(push)))
    headless = _once(scope.cache, _HEADLESS, lambda: frozenset(_headless_addresses(push, scope)))
    traced = any(item.opentelemetry or item.datadog for item in push.mesh.extension_providers)
    return (
        dict(proxy.labels) if traced else _met(conditions, proxy),
        proxy.labels.get(GATEWAY_NAME_LABEL),
        (proxy.supports_ipv4, proxy.supports_ipv6, proxy.dns_domain, proxy.uses_auto_allocated),
        replace(proxy.metadata, raw=EMPTY, annotations=proxy.metadata.annotations if traced else EMPTY),
        proxy.metadata.raw.get("DNS_PROXY_ADDR"),
        headless.intersection(proxy.ip_addresses[:1]),
        (proxy.name, proxy.metadata.raw.get("WORKLOAD_NAME")) if traced else (),
    )


def cluster_facts_of(push: PushContext, proxy: Proxy, scope: SidecarScope) -> tuple[Any, ...]:
    """What clusters know besides: where the proxy is, and its labels where those of endpoints are compared."""
    node, labels = _once(scope.cache, _COMPARED, lambda: _compared(push, scope))
    return (
        (proxy.region, proxy.zone, proxy.sub_zone),
        proxy.node_name if node else "",
        dict(proxy.labels) if labels else {},
    )


def _once(cache: dict[object, object], key: str, compute: Callable[[], ResultT]) -> ResultT:
    if key not in cache:
        cache[key] = compute()
    found: ResultT = cache[key]  # type: ignore[assignment]  # one key, one type
    return found


def _met(conditions: frozenset[_Condition], proxy: Proxy) -> frozenset[_Condition]:
    return conditions.intersection(proxy.labels.items())


def _conditions(push: PushContext) -> Iterator[_Condition]:
    """All that anything asks of a client's labels."""
    for resource in push.configuration.resources("VirtualService"):
        spec = resource.spec
        for rule in (*spec.http, *spec.tls, *spec.tcp):
            for match in rule.match:
                yield from match.source_labels.items()
    for kind in _SELECTING_KINDS:
        for resource in push.configuration.resources(kind):
            yield from _selected(resource.spec).items()


def _selected(spec: Any) -> Mapping[str, str]:
    selector = getattr(spec, "selector", None) or getattr(spec, "workload_selector", None)
    found: Mapping[str, str] = selector.match_labels if selector is not None else EMPTY
    return found


def _headless_addresses(push: PushContext, scope: SidecarScope) -> Iterator[str]:
    """Proxies do not listen for their own address."""
    for egress in scope.egress_listeners:
        for service in egress.services:
            if service.resolution is Resolution.PASSTHROUGH:
                for endpoint in push.registry.endpoints(service.host, service.namespace):
                    yield from endpoint.addresses[:1]


def _compared(push: PushContext, scope: SidecarScope) -> tuple[bool, bool]:
    """Whether the node of a proxy decides about endpoints of any service, and whether its labels do."""
    node = any(service.node_local for service in scope.services)
    labels = any(
        compares_labels(push.mesh, service, rule.spec if rule is not None else None)
        for service in scope.services
        for rule in scope.destination_rules.get(service.host) or (None,)
    )
    return node, node or labels
