"""Services, ServiceEntries and DestinationRules (istioctl's ``service``, ``serviceentry``, ``destinationrule``)."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.analysis import messages
from sandbox.analysis.mesh_index import ALL_NAMESPACES, MeshIndex, PodView, scopes_of
from sandbox.compiler.protocols import kubernetes_protocol
from sandbox.istio.client_tls import ClientTLSSettings
from sandbox.istio.destination_rule import DestinationRule
from sandbox.istio.resource import Resource
from sandbox.istio.service_entry import ServiceEntry, ServiceEntryStatus
from sandbox.yaml_source.problems import Problems

_SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
_TRUE = "true"
_TOPOLOGY_LABELS = (
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
)


def analyze_services(index: MeshIndex, problems: Problems) -> None:
    """IST0118 and IST0150: names of Kubernetes service ports from which Istio cannot tell the protocol."""
    for service in index.each("Service"):
        if service.namespace in _SYSTEM_NAMESPACES or _belongs_to_istio(service.metadata.labels):
            continue
        is_alias = service.spec.type == "ExternalName"
        for port in service.spec.ports:
            protocol = kubernetes_protocol(port.port, port.name, port.protocol, port.app_protocol)
            if not protocol.is_unsupported and not (port.name == "tcp" and is_alias):
                continue
            if is_alias:
                messages.EXTERNAL_NAME_PORT.report(problems, port.origin)
            else:
                values = (port.name, port.port, port.target_port or 0)
                messages.PORT_NAME.report(problems, port.origin, *values)


def _belongs_to_istio(labels: Mapping[str, str]) -> bool:
    return "istio" in labels or labels.get("release") == "istio" or "gateway.istio.io/managed" in labels


def analyze_service_entries(index: MeshIndex, problems: Problems) -> None:
    """IST0134 and IST0177."""
    config = index.configuration.mesh.default_config
    metadata = config.proxy_metadata if config is not None else {}
    allocated = metadata.get("ISTIO_META_DNS_CAPTURE") == _TRUE and _TRUE in (
        metadata.get("ISTIO_META_DNS_AUTO_ALLOCATE"),
        metadata.get("PILOT_ENABLE_IP_AUTOALLOCATE"),
    )
    for entry in index.each("ServiceEntry"):
        if entry.spec.addresses or _has_allocated_addresses(entry) or allocated:
            continue
        for port in entry.spec.ports:
            if port.protocol.upper() in ("", "TCP"):
                messages.ADDRESSES_REQUIRED.report(problems, port.origin)
    _analyze_conflicting_protocols(index, problems)


def _has_allocated_addresses(entry: Resource[ServiceEntry]) -> bool:
    return isinstance(entry.status, ServiceEntryStatus) and bool(entry.status.addresses)


def _analyze_conflicting_protocols(index: MeshIndex, problems: Problems) -> None:
    uses: dict[tuple[str, str, int], list[tuple[str, Resource[ServiceEntry]]]] = {}
    for entry in index.each("ServiceEntry"):
        for scope in scopes_of(entry.spec.export_to, entry.namespace):
            for host in entry.spec.hosts:
                for port in entry.spec.ports:
                    uses.setdefault((scope, host, port.number), []).append((port.protocol.upper(), entry))
    reported: set[int] = set()
    for (scope, host, number), users in uses.items():
        together = users if scope == ALL_NAMESPACES else [*users, *uses.get((ALL_NAMESPACES, host, number), ())]
        protocols = sorted({protocol for protocol, _ in together})
        if len(protocols) < 2:
            continue
        names = ", ".join(sorted({f"{entry.namespace}/{entry.name}" for _, entry in together}))
        for _, entry in together:
            if id(entry) not in reported:
                reported.add(id(entry))
                origin = entry.metadata.origin_of("name")
                messages.CONFLICTING_PROTOCOL.report(problems, origin, names, host, number, ", ".join(protocols))


def analyze_destination_rules(index: MeshIndex, problems: Problems) -> None:
    """IST0128, IST0129, IST0173 and IST0174."""
    for rule in index.each("DestinationRule"):
        _analyze_certificates(rule, problems)
        known = index.destination(rule.namespace, rule.spec.export_to, rule.spec.host)
        if known is None:
            messages.UNKNOWN_RULE_HOST.report(problems, rule.spec.origin_of("host"), rule.spec.host)
            continue
        for subset in rule.spec.subsets:
            wanted = {**known.workload_labels, **subset.labels}
            if not _selects_any(wanted, index):
                messages.SUBSET_WITHOUT_PODS.report(problems, subset.origin, subset.name)


def _selects_any(wanted: dict[str, str], index: MeshIndex) -> bool:
    nodes = {node.name: node.metadata.labels for node in index.each("Node")}
    return any(wanted.items() <= _with_topology(pod, nodes.get(pod.node, {})).items() for pod in index.pods)


def _with_topology(pod: PodView, node_labels: Mapping[str, str]) -> dict[str, str]:
    """A pod's labels with those that istiod adds from the node it runs on."""
    topology = {name: node_labels[name] for name in _TOPOLOGY_LABELS if node_labels.get(name)}
    hostname = {"kubernetes.io/hostname": pod.node} if pod.node else {}
    return {**pod.labels, **topology, **hostname}


def _analyze_certificates(rule: Resource[DestinationRule], problems: Problems) -> None:
    policy = rule.spec.traffic_policy
    if policy is None:
        return
    name = f"{rule.namespace}/{rule.name}"
    selects = rule.spec.workload_selector is not None
    if policy.tls is not None and _unverified(policy.tls, selects):
        origin, mode = policy.tls.origin, policy.tls.mode
        messages.NO_CA_CERTIFICATES.report(problems, origin, name, rule.namespace, mode, rule.spec.host)
    for settings in policy.port_level_settings:
        if settings.tls is not None and _unverified(settings.tls, selects):
            number = settings.port.number if settings.port is not None else 0
            values = (name, rule.namespace, settings.tls.mode, rule.spec.host, f"number:{number}")
            messages.NO_CA_CERTIFICATES_AT_PORT.report(problems, settings.tls.origin, *values)


def _unverified(tls: ClientTLSSettings, selects_workloads: bool) -> bool:
    by_credential = bool(tls.credential_name) and selects_workloads
    return tls.mode in ("SIMPLE", "MUTUAL") and not tls.ca_certificates and not by_credential
