"""Objects that name a call's host and do not count for its caller: refused, not exported, not imported, misplaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from sandbox.compiler.host_names import resolve_gateway, resolve_host, subset_of
from sandbox.compiler.label_selectors import selects
from sandbox.compiler.names import MESH_GATEWAY
from sandbox.compiler.visibility import PRIVATE, PUBLIC
from sandbox.explain.steps import Near, Walk
from sandbox.plan.because import Because
from sandbox.yaml_source.span import Origin

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.compiler.services import Service
    from sandbox.compiler.sidecar_scope import SidecarScope
    from sandbox.istio.load import Configuration
    from sandbox.istio.message import Message
    from sandbox.istio.resource import Resource
    from sandbox.yaml_source.problems import Problem

_EXPORT_TO: Final = "networking.istio.io/exportTo"


def passed_over(
    written: Configuration, refused: Sequence[Problem], push: PushContext, proxy: Proxy, walk: Walk
) -> dict[str, tuple[Near, ...]]:
    """By kind of object, each with the reason; none that decides a step of the walk.

    ``written``: all that the files say, ``refused``: why istiod or the API server would not have some of it.
    """
    search = _Search(push, proxy, walk)
    found: dict[str, list[Near]] = {"ServiceEntry": [], "VirtualService": [], "DestinationRule": []}
    for kind, near in search.refused(written, refused):
        found[kind].append(near)
    found["ServiceEntry"] += search.services()
    found["VirtualService"] += search.virtual_services() if proxy.is_sidecar else search.rules_at_gateway()
    found["DestinationRule"] += search.destination_rules()
    return {kind: tuple(nears) for kind, nears in found.items() if nears}


class _Search:
    def __init__(self, push: PushContext, proxy: Proxy, walk: Walk) -> None:
        self._push = push
        self._proxy = proxy
        self._scope: SidecarScope = push.sidecar_scope(proxy)
        host = walk.call.host.lower()
        self._names = tuple(
            f"{host}{rest}"
            for rest in ("", f".{proxy.namespace}.svc.{push.domain}", f".svc.{push.domain}", f".{push.domain}")
        )
        decided = (each.origin for node in walk.nodes for step in node.steps for each in step.because)
        self._deciding = {origin.resource for origin in decided if isinstance(origin, Origin)}
        self._known = next((one for one in self._scope.services if self._names_it(one.host)), None)
        clusters = [step.found for step in walk.steps if step.kind == "cluster"]
        self._destinations = dict.fromkeys(name.split("|")[3] for name in clusters if name.count("|") == 3)

    def _names_it(self, host: str) -> bool:
        return any(subset_of(name, host) for name in self._names)

    def _routes_it(self, host: str) -> bool:
        """Routes of every host are nobody's in particular."""
        return host != "*" and self._names_it(host)

    # ---- what istiod or the API server does not let in

    def refused(self, written: Configuration, problems: Sequence[Problem]) -> Iterator[tuple[str, Near]]:
        reasons: dict[object, Problem] = {}
        for problem in problems:
            reasons.setdefault(problem.resource, problem)
        for loaded in written.objects:
            why = reasons.get(loaded.ref)
            if why is None or loaded.resource is None or why.span is None:
                continue
            if loaded.ref.kind in ("ServiceEntry", "VirtualService", "DestinationRule") and self._is_meant(loaded):
                because = Because("refused", Origin(loaded.ref, why.path, why.span))
                reason = f"it is refused: {why.message} ({why.code})"
                yield loaded.ref.kind, Near(name=str(loaded.ref), reason=reason, because=(because,))

    def _is_meant(self, loaded: Any) -> bool:
        resource = loaded.resource
        is_rule = loaded.ref.kind == "DestinationRule"
        hosts = (resource.spec.host,) if is_rule else resource.spec.hosts
        return any(self._names_it(resolve_host(host, resource.namespace, self._push.domain)) for host in hosts)

    # ---- hosts

    def services(self) -> Iterator[Near]:
        """Services of the host that the caller does not see; none where it sees one."""
        if self._known is not None:
            return
        for service in self._push.services():
            if self._names_it(service.host) and service.origin is not None:
                reason, origin = self._why_unseen(service, service.origin)
                yield Near(name=str(service.origin.resource), reason=reason, because=(Because("unseen", origin),))

    def _why_unseen(self, service: Service, origin: Origin) -> tuple[str, Origin]:
        namespace = self._proxy.namespace
        if not self._push.is_visible(service, namespace):
            return f"it is not exported to the namespace {namespace}", self._export_origin(origin)
        sidecar = self._scope.sidecar
        if sidecar is None:
            return f"another object of the host counts in the namespace {namespace}", origin
        return f"{sidecar.ref} does not import it", sidecar.spec.origin_of("egress")

    def _export_origin(self, origin: Origin) -> Origin:
        """The line that says so: the object's own, or the mesh's default."""
        mesh = self._push.mesh
        default = mesh.origin_of("default_service_export_to") if mesh.default_service_export_to else origin
        for resource in self._push.configuration.resources(origin.resource.kind):
            if resource.ref == origin.resource:
                return _own_export_origin(resource) or default
        return default

    # ---- routes

    def virtual_services(self) -> Iterator[Near]:
        first: dict[str, Resource[Any]] = {}
        imported = [one for listener in self._scope.egress_listeners for one in listener.virtual_services]
        for one in imported:
            for host in one.spec.hosts:
                first.setdefault(host, one)
        for resource in self._push.configuration.resources("VirtualService"):
            hosts = [resolve_host(host, resource.namespace, self._push.domain) for host in resource.spec.hosts]
            meant = next((index for index, host in enumerate(hosts) if self._routes_it(host)), None)
            if meant is None:
                continue
            yield from self._other_callers_rules(resource)
            if resource.ref in self._deciding:
                continue
            reason, origin = self._why_not_routed(resource, hosts[meant], first, imported)
            if reason:
                because = Because("passed over", origin or resource.spec.origin_of("hosts", meant))
                yield Near(name=str(resource.ref), reason=reason, because=(because,))

    def _other_callers_rules(self, resource: Resource[Any]) -> Iterator[Near]:
        """Matches that are for workloads with other labels, or of another namespace."""
        for rule in (*resource.spec.http, *resource.spec.tls, *resource.spec.tcp):
            for match in rule.match:
                reason, field = "", "source_labels"
                if match.source_labels and not selects(match.source_labels, self._proxy.labels):
                    reason = "its sourceLabels are not the caller's"
                elif match.source_namespace not in ("", self._proxy.namespace):
                    reason, field = f"it is for callers of the namespace {match.source_namespace}", "source_namespace"
                if reason:
                    because = Because("passed over", match.origin_of(field))
                    yield Near(name=f"a match of {resource.ref}", reason=reason, because=(because,))

    def _why_not_routed(
        self, resource: Resource[Any], host: str, first: dict[str, Resource[Any]], imported: Sequence[Resource[Any]]
    ) -> tuple[str, Origin | None]:
        spec, namespace = resource.spec, self._proxy.namespace
        gateways = [resolve_gateway(name, resource.namespace) for name in spec.gateways]
        if gateways and MESH_GATEWAY not in gateways:
            return f"it is for {', '.join(gateways)} alone, not for sidecars (mesh)", spec.origin_of("gateways")
        default = self._push.mesh.default_virtual_service_export_to
        if not _is_exported(spec.export_to or default, resource.namespace, namespace):
            return f"it is not exported to the namespace {namespace}", spec.origin_of("export_to")
        if resource.ref not in [one.ref for one in imported]:
            sidecar = self._scope.sidecar
            return (f"{sidecar.ref} does not import it", sidecar.spec.origin_of("egress")) if sidecar else ("", None)
        winner = first.get(host, resource)
        if winner.ref != resource.ref:
            return f"{winner.ref} has the host already", None
        if self._known is None:
            return "no ServiceEntry or Service gives its host to the caller", None
        return "", None

    def rules_at_gateway(self) -> Iterator[Near]:
        """VirtualServices of the host that the gateways of this node do not go by."""
        here = {f"{ref.namespace}/{ref.name}" for ref in self._deciding if ref.kind == "Gateway"}
        for resource in self._push.configuration.resources("VirtualService"):
            hosts = [resolve_host(host, resource.namespace, self._push.domain) for host in resource.spec.hosts]
            if not here or resource.ref in self._deciding or not any(map(self._routes_it, hosts)):
                continue
            reason, field = self._why_not_here(resource, here)
            if reason:
                because = Because("passed over", resource.spec.origin_of(field))
                yield Near(name=str(resource.ref), reason=reason, because=(because,))

    def _why_not_here(self, resource: Resource[Any], here: set[str]) -> tuple[str, str]:
        spec, shown = resource.spec, ", ".join(sorted(here))
        named = [resolve_gateway(name, resource.namespace) for name in spec.gateways] or [MESH_GATEWAY]
        if here.isdisjoint(named):
            return (
                f"it is for {', '.join(named)}, not for the gateway {shown}",
                "gateways" if spec.gateways else "hosts",
            )
        matches = [match for rule in (*spec.http, *spec.tls, *spec.tcp) for match in rule.match or (None,)]
        for match in matches:
            gateways = match.gateways if match is not None else ()
            if not gateways or not here.isdisjoint(resolve_gateway(name, resource.namespace) for name in gateways):
                return "", ""
        return f"none of its rules is for the gateway {shown}", "gateways"

    # ---- traffic policies

    def destination_rules(self) -> Iterator[Near]:
        for host in self._destinations:
            service = self._scope.service(host) or next(iter(self._push.services_of_host(host)), None)
            if service is None:
                continue
            chosen = self._scope.destination_rule(self._proxy, host)
            counted = [one.ref for one in chosen.merged_from] if chosen is not None else []
            for rule in self._push.configuration.resources("DestinationRule"):
                meant = resolve_host(rule.spec.host, rule.namespace, self._push.domain)
                if rule.ref not in counted and subset_of(host, meant):
                    first = counted[0] if counted else None
                    reason, origin = self._why_no_policy(rule, service, first)
                    yield Near(name=str(rule.ref), reason=reason, because=(Because("passed over", origin),))

    def _why_no_policy(self, rule: Resource[Any], service: Service, first: object) -> tuple[str, Origin]:
        spec, own, root = rule.spec, self._proxy.namespace, self._push.root_namespace
        selector = spec.workload_selector
        if selector is not None and (rule.namespace != own or not selects(selector.match_labels, self._proxy.labels)):
            return "its workloadSelector does not select the caller", selector.origin
        default = self._push.mesh.default_destination_rule_export_to
        if not _is_exported(spec.export_to or default, rule.namespace, own):
            return f"it is not exported to the namespace {own}", spec.origin_of("export_to")
        here = rule.metadata.origin_of("namespace")
        if rule.namespace not in (own, service.namespace, root):
            places = dict.fromkeys((f"the caller's namespace ({own})", f"the host's ({service.namespace})"))
            return f"it counts only in {', '.join(places)} or the root namespace ({root})", here
        return (f"{first} comes first" if first is not None else "it does not count for this caller"), spec.origin_of(
            "host"
        )


def _own_export_origin(resource: Resource[Any]) -> Origin | None:
    if _EXPORT_TO in resource.metadata.annotations:
        return resource.metadata.origin_of("annotations", _EXPORT_TO)
    spec: Message = resource.spec
    return spec.origin_of("export_to") if spec.written("export_to") else None


def _is_exported(export_to: Sequence[str], owner: str, namespace: str) -> bool:
    scopes = frozenset(export_to or (PUBLIC,))
    return PUBLIC in scopes or namespace in scopes or (PRIVATE in scopes and owner == namespace)
