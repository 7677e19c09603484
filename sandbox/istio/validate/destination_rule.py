"""DestinationRule: host, policies, subsets."""

from __future__ import annotations

from sandbox.istio.destination_rule import DestinationRule, Subset
from sandbox.istio.resource import Resource
from sandbox.istio.traffic_policy import PortTrafficPolicy, TrafficPolicy, TunnelSettings
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.load_balancing import check_load_balancer
from sandbox.istio.validate.primitives import (
    fqdn_fault,
    host_hint,
    is_ip_address,
    is_label,
    port_fault,
    wildcard_domain_fault,
)
from sandbox.istio.validate.shared import check_export_to, check_labels, check_policy_selector
from sandbox.istio.validate.traffic_policy import check_client_tls, check_connection_pool, check_outlier_detection


def validate_destination_rule(resource: Resource[DestinationRule], findings: Findings) -> None:
    """Every rule about a DestinationRule by itself."""
    rule = resource.spec
    findings.check(wildcard_domain_fault(rule.host), rule, "host", hint=host_hint(rule.host))
    check_traffic_policy(resource.namespace, rule.traffic_policy, findings)
    seen: set[str] = set()
    for subset in rule.subsets:
        if subset.name in seen:
            findings.error(f"duplicate subset names: {subset.name}", subset, "name")
        seen.add(subset.name)
        with findings.errors_only():
            _check_subset(resource.namespace, subset, findings)
    selected = rule.workload_selector is not None
    check_export_to(resource.namespace, rule.export_to, rule, findings, with_selector=selected)
    check_policy_selector(rule.workload_selector, findings)


def _check_subset(namespace: str, subset: Subset, findings: Findings) -> None:
    findings.check(subset_name_fault(subset.name), subset, "name")
    check_labels(subset, "labels", findings)
    check_traffic_policy(namespace, subset.traffic_policy, findings)


def subset_name_fault(name: str) -> str | None:
    """The name of a subset is a DNS label."""
    if not name:
        return "subset name cannot be empty"
    return None if is_label(name) else f"subset name is invalid: {name}"


def check_traffic_policy(namespace: str, policy: TrafficPolicy | None, findings: Findings) -> None:
    """A traffic policy of the host or of a subset."""
    if policy is None:
        return
    blocks = (
        policy.outlier_detection,
        policy.connection_pool,
        policy.load_balancer,
        policy.tls,
        policy.tunnel,
        policy.proxy_protocol,
        policy.retry_budget,
    )
    if all(block is None for block in blocks) and not policy.port_level_settings:
        findings.error("traffic policy must have at least one field", policy)
        return
    if policy.tunnel is not None and policy.proxy_protocol is not None:
        findings.error("tunnel and proxyProtocol must not be set together", policy, "proxy_protocol")
        return
    check_outlier_detection(policy.outlier_detection, findings)
    check_connection_pool(policy.connection_pool, findings)
    check_load_balancer(policy.load_balancer, policy.outlier_detection, findings)
    check_client_tls(namespace, policy.tls, findings)
    with findings.errors_only():
        for port_policy in policy.port_level_settings:
            _check_port_policy(namespace, port_policy, findings)
    version = policy.proxy_protocol.place.value("version") if policy.proxy_protocol is not None else None
    if policy.proxy_protocol is not None and isinstance(version, int) and version not in (0, 1):
        findings.error(f"proxy protocol version is invalid: {version}", policy.proxy_protocol, "version")
    if policy.tunnel is not None:
        _check_tunnel(policy.tunnel, findings)


def _check_port_policy(namespace: str, policy: PortTrafficPolicy, findings: Findings) -> None:
    if policy.port is None:
        findings.error("port level settings must have a port", policy, hint="write port: {number: 443}")
    blocks = (policy.outlier_detection, policy.connection_pool, policy.load_balancer, policy.tls)
    if all(block is None for block in blocks):
        findings.error("port level settings must have at least one policy", policy)
        return
    check_outlier_detection(policy.outlier_detection, findings)
    check_connection_pool(policy.connection_pool, findings)
    check_load_balancer(policy.load_balancer, policy.outlier_detection, findings)
    check_client_tls(namespace, policy.tls, findings)


def _check_tunnel(tunnel: TunnelSettings, findings: Findings) -> None:
    if tunnel.protocol not in ("", "CONNECT", "POST"):
        findings.error('tunnel protocol must be "CONNECT" or "POST"', tunnel, "protocol")
    host = fqdn_fault(tunnel.target_host)
    if host is not None and not is_ip_address(tunnel.target_host):
        findings.error(f"tunnel target host must be valid FQDN or IP address: {host}", tunnel, "target_host")
    port = port_fault(tunnel.target_port)
    if port is not None:
        findings.error(f"tunnel target port is invalid: {port}", tunnel, "target_port")
