"""Everything istiod computes once for all proxies: registries, indices, scopes (Istio pilot/pkg/model/push_context.go)."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.compiler.features import Features, features_of
from sandbox.compiler.proxy import Proxy
from sandbox.compiler.services import Service, ServiceEndpoint
from sandbox.compiler.sidecar_scope import SidecarScope
from sandbox.istio.load import Configuration
from sandbox.istio.mesh_config import MeshConfig
from sandbox.istio.resource import Resource
from sandbox.istio.virtual_service import VirtualService
from sandbox.yaml_source.problems import Problems


class PushContext:
    """The mesh as one configuration describes it; built once, shared by all proxies, never changed by them."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.mesh: MeshConfig = configuration.mesh
        self.root_namespace: str = configuration.root_namespace
        self.features: Features = features_of(configuration.pilot_env)
        self.problems: Problems = configuration.problems

    def services(self) -> Sequence[Service]:
        """All services of all registries in istiod's order."""
        raise NotImplementedError

    def services_of_host(self, host: str) -> Sequence[Service]:
        """The services of a host, one for each namespace that has it."""
        raise NotImplementedError

    def service_of(self, host: str, namespace: str) -> Service | None:
        """The service of a host in a namespace."""
        raise NotImplementedError

    def services_exported_to(self, namespace: str) -> Sequence[Service]:
        """The services a namespace may see: private and exported ones, then public ones."""
        raise NotImplementedError

    def is_visible(self, service: Service, namespace: str) -> bool:
        """Whether a namespace may see a service."""
        raise NotImplementedError

    def endpoints_of(self, service: Service, port: int) -> Sequence[ServiceEndpoint]:
        """The endpoints of a service port, from all objects that describe the host in its namespace."""
        raise NotImplementedError

    def virtual_services_for_gateway(self, namespace: str, gateway: str) -> Sequence[Resource[VirtualService]]:
        """The VirtualServices bound to ``ns/gateway`` (or ``mesh``) that a namespace may see, in istiod's order."""
        raise NotImplementedError

    def sidecar_scope(self, proxy: Proxy) -> SidecarScope:
        """What a proxy may see; computed once for all proxies that see the same."""
        raise NotImplementedError
