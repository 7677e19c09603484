"""What a user wrote that nothing can ever come to: hosts without ports, settings of other ports, rules nobody reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sandbox.analysis.mesh_index import build_index, selector_text
from sandbox.compiler.destination_checks import is_for_sidecars
from sandbox.compiler.host_names import is_wildcard, resolve_host
from sandbox.compiler.push_context import PushContext
from sandbox.compiler.services import ServicePort
from sandbox.istio.destination_rule import DestinationRule
from sandbox.istio.load import Configuration
from sandbox.istio.resource import Resource
from sandbox.istio.traffic_policy import TrafficPolicy
from sandbox.istio.virtual_service import VirtualService
from sandbox.yaml_source.problems import Problems

_SELECTING: Final = ("DestinationRule", "EnvoyFilter", "ProxyConfig", "PeerAuthentication", "RequestAuthentication")
_OF_OWN_NAMESPACE: Final = ("DestinationRule", "ProxyConfig", "PeerAuthentication")
"""Kinds whose selector is for pods of the object's namespace, also in the root namespace."""


def report_without_effect(configuration: Configuration, push: PushContext, problems: Problems) -> None:
    """SBX0409, SBX0410, SBX0415 and SBX0527."""
    for entry in configuration.resources("ServiceEntry"):
        if not entry.spec.ports:
            hosts = ", ".join(entry.spec.hosts)
            message = f"the ServiceEntry has no ports, so nothing listens for {hosts}, and no route leads there"
            hint = "write ports: with number, name and protocol"
            problems.report("SBX0409", message, entry.spec.origin_of("hosts"), hint=hint)
    for rule in configuration.resources("DestinationRule"):
        _report_other_ports(rule, push, problems)
    for routes in configuration.resources("VirtualService"):
        _report_unread_rules(routes, push, problems)
    _report_selectors_in_vain(configuration, problems)


def _report_selectors_in_vain(configuration: Configuration, problems: Problems) -> None:
    """Of kinds whose selectors istioctl does not look at; in namespaces of which the files describe workloads."""
    pods = build_index(configuration).pods
    for kind in _SELECTING:
        for resource in configuration.resources(kind):
            field = "workload_selector" if hasattr(resource.spec, "workload_selector") else "selector"
            selector = getattr(resource.spec, field)
            labels = dict(getattr(selector, "match_labels", None) or getattr(selector, "labels", None) or {})
            everywhere = resource.namespace == configuration.root_namespace and kind not in _OF_OWN_NAMESPACE
            own = [pod for pod in pods if pod.namespace == resource.namespace]
            if (
                labels
                and own
                and not any(labels.items() <= pod.labels.items() for pod in (pods if everywhere else own))
            ):
                problems.report(
                    "SBX0415",
                    f"no workload of the files has the labels {selector_text(labels)}: it is for nobody",
                    resource.spec.origin_of(field),
                )


def _ports(push: PushContext, host: str) -> Sequence[ServicePort]:
    return [port for service in push.services_of_host(host) for port in service.ports]


def _report_other_ports(rule: Resource[DestinationRule], push: PushContext, problems: Problems) -> None:
    host = resolve_host(rule.spec.host, rule.namespace, push.domain)
    known = sorted({port.number for port in _ports(push, host)})
    if is_wildcard(host) or not known:
        return
    for policy in _policies(rule.spec):
        for settings in policy.port_level_settings:
            number = settings.port.number if settings.port is not None else 0
            if number and number not in known:
                problems.report(
                    "SBX0410",
                    f"{host} has no port {number}: these settings are for nothing",
                    settings.port.origin if settings.port is not None else settings.origin,
                    hint=f"name the port that is called, not its targetPort: {', '.join(map(str, known))}",
                )


def _policies(spec: DestinationRule) -> Iterator[TrafficPolicy]:
    policies = (spec.traffic_policy, *(subset.traffic_policy for subset in spec.subsets))
    return (policy for policy in policies if policy is not None)


def _report_unread_rules(routes: Resource[VirtualService], push: PushContext, problems: Problems) -> None:
    """Rules for HTTP need a port that is declared HTTP, or whose protocol is detected; others one that is not."""
    spec = routes.spec
    if spec.gateways and "mesh" not in spec.gateways:
        return
    hosts = [resolve_host(host, routes.namespace, push.domain) for host in spec.hosts]
    ports = [port for host in hosts for port in _ports(push, host)]
    if not ports or any(is_wildcard(host) or not _ports(push, host) for host in hosts):
        return
    shown = ", ".join(dict.fromkeys(f"{port.number} {port.protocol.value}" for port in ports))
    if all(port.protocol.is_tcp for port in ports):
        for rule in filter(is_for_sidecars, spec.http):
            message = (
                f"no port of {', '.join(hosts)} speaks HTTP ({shown}): sidecars do not read what these rules are for"
            )
            hint = "call the host by http:// on a port that is declared HTTP, or write tls: rules, which see its name"
            problems.report("SBX0527", message, rule.origin, hint=hint)
    if all(port.protocol.is_http for port in ports):
        for other in (*filter(is_for_sidecars, spec.tls), *filter(is_for_sidecars, spec.tcp)):
            message = f"every port of {', '.join(hosts)} speaks HTTP ({shown}): sidecars go by http: rules there"
            problems.report("SBX0527", message, other.origin)
