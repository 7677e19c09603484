"""EnvoyFilter: checked for spelling; of its patches a few are applied, at gateways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import Int32, UInt32
from sandbox.istio.selector import PolicyTargetReference
from sandbox.istio.sidecar import WorkloadSelector

ApplyTo = Literal[
    "INVALID",
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
    "LISTENER_FILTER",
]
"""``istio.networking.v1alpha3.EnvoyFilter.ApplyTo``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMatch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.ClusterMatch``: a cluster by service, subset and port."""

    port_number: UInt32 = 0
    service: str = ""
    subset: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubFilterMatch(Message):
    """A filter inside a network filter, by name.

    ``istio.networking.v1alpha3.EnvoyFilter.ListenerMatch.SubFilterMatch``
    """

    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterMatch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.ListenerMatch.FilterMatch``: a network filter by name."""

    name: str = ""
    sub_filter: SubFilterMatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterChainMatch(Message):
    """A filter chain by name, SNI, protocols or port.

    ``istio.networking.v1alpha3.EnvoyFilter.ListenerMatch.FilterChainMatch``
    """

    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""
    transport_socket: str = ""
    filter: FilterMatch | None = None
    destination_port: UInt32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerMatch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.ListenerMatch``: a listener by port and filter chain."""

    port_number: UInt32 = 0
    port_name: str = ""
    filter_chain: FilterChainMatch | None = None
    listener_filter: str = ""
    name: str = ""


PatchContext = Literal["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"]
"""``istio.networking.v1alpha3.EnvoyFilter.PatchContext``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyMatch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.ProxyMatch``: proxies by version and metadata."""

    proxy_version: str = ""
    metadata: Mapping[str, str] = EMPTY


RouteAction = Literal["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"]
"""``istio.networking.v1alpha3.EnvoyFilter.RouteConfigurationMatch.RouteMatch.Action``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMatch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.RouteConfigurationMatch.RouteMatch``: a route by name and action."""

    name: str = ""
    action: RouteAction = "ANY"


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHostMatch(Message):
    """A virtual host by name, domain or route.

    ``istio.networking.v1alpha3.EnvoyFilter.RouteConfigurationMatch.VirtualHostMatch``
    """

    name: str = ""
    domain_name: str = ""
    route: RouteMatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfigurationMatch(Message):
    """A route configuration by port, gateway or name.

    ``istio.networking.v1alpha3.EnvoyFilter.RouteConfigurationMatch``
    """

    port_number: UInt32 = 0
    port_name: str = ""
    gateway: str = ""
    vhost: VirtualHostMatch | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaypointSubFilterMatch(Message):
    """A filter inside that filter, by name.

    ``istio.networking.v1alpha3.EnvoyFilter.WaypointMatch.FilterMatch.SubFilterMatch``
    """

    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaypointFilterMatch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.WaypointMatch.FilterMatch``: a filter of a waypoint, by name."""

    name: str = ""
    sub_filter: WaypointSubFilterMatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaypointRouteMatch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.WaypointMatch.RouteMatch``: a route of a waypoint, by name."""

    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaypointMatch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.WaypointMatch``: something of a waypoint proxy."""

    port_number: UInt32 = 0
    route: WaypointRouteMatch | None = None
    filter: WaypointFilterMatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyConfigObjectMatch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.EnvoyConfigObjectMatch``: which objects a patch is for."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("listener", "route_configuration", "cluster", "waypoint"),)

    context: PatchContext = "ANY"
    proxy: ProxyMatch | None = None
    listener: ListenerMatch | None = None
    route_configuration: RouteConfigurationMatch | None = None
    cluster: ClusterMatch | None = None
    waypoint: WaypointMatch | None = None


FilterClass = Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]
"""``istio.networking.v1alpha3.EnvoyFilter.Patch.FilterClass``."""

PatchOperation = Literal[
    "INVALID",
    "MERGE",
    "ADD",
    "REMOVE",
    "INSERT_BEFORE",
    "INSERT_AFTER",
    "INSERT_FIRST",
    "REPLACE",
    "MERGE_AND_REPLACE_LIST",
]
"""``istio.networking.v1alpha3.EnvoyFilter.Patch.Operation``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.Patch``: what is done to a matching object."""

    operation: PatchOperation = "INVALID"
    value: Mapping[str, object] | None = None
    filter_class: FilterClass = "UNSPECIFIED"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyConfigObjectPatch(Message):
    """``istio.networking.v1alpha3.EnvoyFilter.EnvoyConfigObjectPatch``: one patch with its match."""

    apply_to: ApplyTo = "INVALID"
    match: EnvoyConfigObjectMatch | None = None
    patch: Patch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyFilter(Message):
    """``istio.networking.v1alpha3.EnvoyFilter``: patches of Envoy configuration."""

    workload_selector: WorkloadSelector | None = None
    targetRefs: tuple[PolicyTargetReference, ...] = ()
    config_patches: tuple[EnvoyConfigObjectPatch, ...] = ()
    priority: Int32 = 0


TCP_PROXY: Final = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


def is_of_applied_kind(spec: EnvoyFilter) -> bool:
    """Whether all its patches are of the kinds that are applied; of an EnvoyFilter all patches are, or none.

    At gateways: clusters and internal listeners that are added, and changes of the TCP proxy.
    """
    return bool(spec.config_patches) and not spec.targetRefs and all(map(_is_applied, spec.config_patches))


def _is_applied(patch: EnvoyConfigObjectPatch) -> bool:
    match, change = patch.match, patch.patch
    if match is None or change is None or change.value is None or match.context != "GATEWAY" or match.proxy is not None:
        return False
    match patch.apply_to, change.operation:
        case "CLUSTER", "ADD":
            return match.cluster is None
        case "LISTENER", "ADD":
            return "internal_listener" in change.value or "internalListener" in change.value
        case "NETWORK_FILTER", "MERGE":
            config = change.value.get("typed_config", change.value.get("typedConfig"))
            return isinstance(config, Mapping) and config.get("@type") == TCP_PROXY
        case _:
            return False
