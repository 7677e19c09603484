"""Sidecars that see the same and are set up alike are told the same: their listeners and routes are made once.

What istiod decides by a proxy is: labels that conditions name, IP families, DNS domain, settings. A proxy's own
address matters only beside headless services, its name only to tracing providers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sandbox.compiler.policy_attachment import GATEWAY_NAME_LABEL
from sandbox.compiler.proxy import Proxy
from sandbox.compiler.services import Resolution
from sandbox.istio.message import EMPTY

if TYPE_CHECKING:
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.sidecar_scope import SidecarScope

ResultT = TypeVar("ResultT")

_LABELS_THAT_COUNT: Final = "labels that count"
_SELECTING_KINDS: Final = ("Telemetry", "AuthorizationPolicy", "DestinationRule", "RequestAuthentication")


def shared(
    push: PushContext, proxy: Proxy, scope: SidecarScope, build: Callable[[PushContext, Proxy, SidecarScope], ResultT]
) -> ResultT:
    """What ``build`` made for a proxy like this one, or makes now."""
    facts = facts_of(push, proxy, scope)
    made: list[tuple[Any, ResultT]] = scope.cache.setdefault((shared, build), [])  # type: ignore[assignment]
    for known, result in made:
        if known == facts:
            return result
    result = build(push, proxy, scope)
    made.append((facts, result))
    return result


def facts_of(push: PushContext, proxy: Proxy, scope: SidecarScope) -> tuple[Any, ...]:
    """What is decided by a proxy of this scope."""
    counting = push.cache.get(_LABELS_THAT_COUNT)
    if not isinstance(counting, frozenset):
        counting = frozenset(_label_keys(push))
        push.cache[_LABELS_THAT_COUNT] = counting
    headless = any(
        service.resolution is Resolution.PASSTHROUGH for egress in scope.egress_listeners for service in egress.services
    )
    traced = any(item.opentelemetry or item.datadog for item in push.mesh.extension_providers)
    return (
        {key: value for key, value in proxy.labels.items() if key in counting or traced},
        (proxy.supports_ipv4, proxy.supports_ipv6, proxy.dns_domain, proxy.uses_auto_allocated),
        replace(proxy.metadata, raw=EMPTY, annotations=proxy.metadata.annotations if traced else EMPTY),
        proxy.metadata.raw.get("DNS_PROXY_ADDR"),
        proxy.ip_addresses if headless else (),
        (proxy.name, proxy.metadata.raw.get("WORKLOAD_NAME")) if traced else (),
    )


def _label_keys(push: PushContext) -> Iterator[str]:
    """The labels that any condition on a client names."""
    yield GATEWAY_NAME_LABEL
    for resource in push.configuration.resources("VirtualService"):
        spec = resource.spec
        for rule in (*spec.http, *spec.tls, *spec.tcp):
            for match in rule.match:
                yield from match.source_labels
    for kind in _SELECTING_KINDS:
        for resource in push.configuration.resources(kind):
            yield from _selected_keys(resource.spec)


def _selected_keys(spec: Any) -> Mapping[str, str]:
    selector = getattr(spec, "selector", None) or getattr(spec, "workload_selector", None)
    found: Mapping[str, str] = selector.match_labels if selector is not None else EMPTY
    return found
