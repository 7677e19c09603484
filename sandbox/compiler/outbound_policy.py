"""What happens to unknown destinations: outboundTrafficPolicy of Sidecar or mesh.

Source: Istio pilot/pkg/model/sidecar.go, pilot/pkg/networking/core/httproute.go (``buildCatchAllVirtualHost``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox.compiler.names import BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER
from sandbox.compiler.route_actions import destination_cluster
from sandbox.plan.because import Because, IstioDefault

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.sidecar_scope import EgressListener, SidecarScope

_EVERY_SERVICE: Final = Because(
    "egress listener", IstioDefault("a proxy without a Sidecar has listeners for all services it may see")
)
ALLOW_ANY: Final = "ALLOW_ANY"
ALLOW_ANY_DYNAMIC_DNS: Final = "ALLOW_ANY_DYNAMIC_DNS"


def is_allow_any_dynamic_dns(proxy: Proxy, scope: SidecarScope) -> bool:
    """Unknown HTTP hosts are resolved and reached, other traffic goes where it wanted."""
    return (
        proxy.is_sidecar and scope.outbound_policy is not None and scope.outbound_policy.mode == ALLOW_ANY_DYNAMIC_DNS
    )


def is_allow_any(scope: SidecarScope) -> bool:
    """Unknown traffic goes where it wanted."""
    return scope.outbound_policy is not None and scope.outbound_policy.mode == ALLOW_ANY


def catch_all_cluster(proxy: Proxy, scope: SidecarScope) -> str:
    """Where unknown connections go."""
    if not is_allow_any(scope) and not is_allow_any_dynamic_dns(proxy, scope):
        return BLACK_HOLE_CLUSTER
    return egress_proxy_cluster(scope) or PASSTHROUGH_CLUSTER


def egress_proxy_cluster(scope: SidecarScope) -> str:
    """The cluster of a Sidecar's ``egressProxy``, or empty."""
    policy = scope.outbound_policy.policy if scope.outbound_policy is not None else None
    if policy is None or policy.egress_proxy is None:
        return ""
    return destination_cluster(policy.egress_proxy, None, 0)


def because_of_egress(egress: EgressListener, scope: SidecarScope) -> Because:
    """The line that decided which services a listener and its routes know."""
    if egress.listener is not None and egress.listener.place:
        return Because("egress listener", egress.listener.origin)
    if scope.sidecar is not None:
        rule = IstioDefault("a Sidecar that names no hosts leaves all services in sight", scope.sidecar.origin)
        return Because("egress listener", rule)
    return _EVERY_SERVICE


def because_of_policy(scope: SidecarScope) -> Because:
    """The line that decides about unknown destinations."""
    if scope.outbound_policy is None:
        return Because("outbound policy", IstioDefault("gateways let nothing unknown through"))
    return Because("outbound policy", scope.outbound_policy.origin)
