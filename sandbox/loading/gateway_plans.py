"""Who is at an address: the gateways of a configuration with their plans, each compiled when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sandbox.explain.loops import Loop, find_loops
from sandbox.explain.walk import Arrival
from sandbox.loading.service_network import external_names
from sandbox.loading.stand_in_gateways import gateway_pods
from sandbox.plan.acceptance import in_force

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.istio.load import Configuration
    from sandbox.plan import NodePlan


class GatewayPlans:
    """All gateways of one configuration, those that run elsewhere too."""

    def __init__(self, configuration: Configuration, push: PushContext) -> None:
        self._configuration = configuration
        self._push = push
        self._compiled: dict[tuple[str, str], NodePlan] = {}
        self._in_force: dict[tuple[str, str], NodePlan] = {}
        pods = [self._proxy(pod) for pod in gateway_pods(configuration)]
        self.proxies = [proxy for proxy in pods if proxy is not None]
        """One for each pod that a Gateway selects."""
        self._by_address = {address: proxy for proxy in self.proxies for address in proxy.ip_addresses}
        self._by_service = dict(self._services())

    def know(self, proxy: Proxy, plan: NodePlan) -> None:
        """This plan is compiled already."""
        self._compiled[(proxy.namespace, proxy.name)] = plan

    def compiled(self, proxy: Proxy) -> NodePlan:
        """A gateway's plan as istiod would send it."""
        from sandbox.compiler import compile_node

        key = (proxy.namespace, proxy.name)
        if key not in self._compiled:
            self._compiled[key] = compile_node(self._push, proxy)
        return self._compiled[key]

    def plan(self, proxy: Proxy) -> NodePlan:
        """The same without what Envoy would not take."""
        key = (proxy.namespace, proxy.name)
        if key not in self._in_force:
            self._in_force[key] = in_force(self.compiled(proxy))
        return self._in_force[key]

    def at(self, host: str, port: int) -> Arrival | None:
        """The gateway that has this address, or whose Service has the address or name."""
        proxy = self._by_address.get(host)
        if proxy is not None:
            return Arrival(plan=self.plan(proxy), address=host, port=port)
        proxy = self._by_service.get(host)
        if proxy is None:
            return None
        from sandbox.compiler.gateway_ports import listening_port

        target = listening_port(self._push, proxy, port)
        return Arrival(plan=self.plan(proxy), address=proxy.ip_addresses[0], port=target)

    def loops(self, proxy: Proxy, *, by_name: bool = False) -> tuple[Loop, ...]:
        """The circles that a gateway is part of.

        ``by_name``: also where a route that looks names up takes those of gateways, among others that it may take.
        """
        names = self._by_service if by_name else ()
        return find_loops(self.plan(proxy), proxy.ip_addresses[0], self.at, names)

    def _services(self) -> Iterator[tuple[str, Proxy]]:
        """Names and addresses of Services, with a gateway behind each, and what ExternalName calls them."""
        known = dict(self._selecting_services())
        yield from known.items()
        for name, target in external_names(self._configuration, "").items():
            if target in known:
                yield name, known[target]

    def _selecting_services(self) -> Iterator[tuple[str, Proxy]]:
        for service in self._configuration.resources("Service") if self.proxies else ():
            selector = service.spec.selector
            for proxy in self.proxies:
                if selector and service.namespace == proxy.namespace and selector.items() <= proxy.labels.items():
                    own = f"{service.name}.{service.namespace}"
                    for name in (f"{own}.svc.{self._configuration.domain_suffix}", f"{own}.svc", own):
                        yield name, proxy
                    if service.spec.cluster_ip not in ("", "None"):
                        yield service.spec.cluster_ip, proxy
                    break

    def _proxy(self, pod: Any) -> Proxy | None:
        from sandbox.compiler import find_proxy

        return find_proxy(self._configuration, f"{pod.namespace}/{pod.name}", "router")
