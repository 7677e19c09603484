"""The services a gateway gets clusters for when istiod is told to send only those that its routes need.

Source: Istio pilot/pkg/model/push_context.go (``GatewayServices``, ``extraServicesForProxy``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

from sandbox.compiler.gateway_ports import merged_gateways
from sandbox.compiler.services import Service
from sandbox.compiler.sidecar_imports import destinations

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.sidecar_scope import SidecarScope


def gateway_services(push: PushContext, proxy: Proxy, scope: SidecarScope) -> tuple[Service, ...]:
    """All visible services, or with ``PILOT_FILTER_GATEWAY_CLUSTER_CONFIG`` those that something refers to."""
    if not push.features.filter_gateway_cluster_config:
        return scope.services
    wanted = {*_routed_hosts(push, proxy), *_provider_hosts(push)}
    return tuple(
        service
        for service in scope.services
        if service.host in wanted or f"{service.namespace}/{service.host}" in wanted
    )


def _routed_hosts(push: PushContext, proxy: Proxy) -> Iterator[str]:
    """Where VirtualServices bound to the gateway's Gateways send to, exported or not, with servers or without."""
    namespace = proxy.namespace if push.features.scope_gateway_to_namespace else ""
    for gateway in merged_gateways(push, proxy).names:
        for virtual_service in push.virtual_services.bound_to(gateway):
            for destination in destinations(virtual_service.spec, namespace):
                yield destination.host


def _provider_hosts(push: PushContext) -> Iterator[str]:
    """``host`` or ``namespace/host`` of the mesh's extension providers."""
    for provider in push.mesh.extension_providers:
        for field in fields(provider):
            service = getattr(getattr(provider, field.name), "service", "")
            if service:
                yield service
