"""The mesh configuration; an invalid one is refused whole and istiod keeps what it had."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sandbox.istio.mesh_config import MeshConfig
from sandbox.istio.proxy_config import ProxyConfig
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.http_actions import check_retries
from sandbox.istio.validate.load_balancing import check_locality, check_zone_aware
from sandbox.istio.validate.primitives import (
    duration_fault,
    fqdn_fault,
    is_ip_address,
    is_label,
    port_fault,
    wildcard_domain_fault,
)
from sandbox.istio.validate.sidecar import split_host_port
from sandbox.istio.validate.traffic_policy import check_connection_pool, check_outlier_detection

_LONGEST_CONNECT: Final = timedelta(hours=1)
_CURVES: Final = frozenset(
    {"", "P-224", "P-256", "P-521", "P-384", "X25519", "X25519Kyber768Draft00", "X25519MLKEM768"}
)


def validate_mesh_config(mesh: MeshConfig, findings: Findings) -> None:
    """Every rule of ``ValidateMeshConfig``, defaults filled in before."""
    findings.check(port_fault(mesh.proxy_listen_port), mesh, "proxy_listen_port")
    _check_times(mesh, findings)
    if mesh.default_config is not None:
        _check_proxy(mesh.default_config, findings)
    check_locality(mesh.locality_lb_setting, findings, outlier_given=True)
    check_zone_aware(mesh.zone_aware_lb_setting, findings, outlier_given=True)
    for setting in mesh.service_settings:
        for index, host in enumerate(setting.hosts):
            findings.check(wildcard_domain_fault(host), setting, "hosts", index)
    findings.check(trust_domain_fault(mesh.trust_domain), mesh, "trust_domain")
    for index, alias in enumerate(mesh.trust_domain_aliases):
        findings.check(trust_domain_fault(alias), mesh, "trust_domain_aliases", index)
    _check_tls(mesh, findings)
    policy = mesh.default_traffic_policy
    if policy is not None:
        check_connection_pool(policy.connection_pool, findings, of_mesh=True)
        check_outlier_detection(policy.outlier_detection, findings)
    retry = mesh.default_inbound_http_retry_policy
    check_retries(retry, findings)
    if retry is not None and retry.attempts == 0 and retry.backoff is not None:
        findings.error("backoff configured when attempts are set to 0 (disabled)", retry, "backoff")


def trust_domain_fault(domain: str) -> str | None:
    """Labels between dots, a dot at the end allowed."""
    if not domain:
        return "empty domain name not allowed"
    parts = domain.split(".")
    named = parts[:-1] if parts[-1] == "" else parts
    return None if all(is_label(label) for label in named) else f"trust domain name {domain!r} invalid"


def _check_times(mesh: MeshConfig, findings: Findings) -> None:
    connect = mesh.connect_timeout or timedelta(0)
    fault = duration_fault(connect)
    if fault is None and connect > _LONGEST_CONNECT:
        fault = f"time {connect} must be at most 1h"
    if fault is not None:
        findings.error(f"invalid connect timeout: {fault}", mesh, "connect_timeout")
    detection = mesh.protocol_detection_timeout or timedelta(0)
    if detection % timedelta(milliseconds=1):
        message = "invalid protocol detection timeout: only durations to ms precision are supported"
        findings.error(message, mesh, "protocol_detection_timeout")


def _check_tls(mesh: MeshConfig, findings: Findings) -> None:
    if mesh.mesh_mTLS is not None and mesh.mesh_mTLS.ecdh_curves:
        findings.error("mesh TLS does not support ECDH curves configuration", mesh.mesh_mTLS, "ecdh_curves")
    curves = mesh.tls_defaults.ecdh_curves if mesh.tls_defaults is not None else ()
    unknown = sorted({curve for curve in curves if curve not in _CURVES})
    twice = sorted({curve for curve in curves if curve in _CURVES and curves.count(curve) > 1})
    if mesh.tls_defaults is not None and unknown:
        findings.warn(f"unrecognized ECDH curves: {', '.join(unknown)}", mesh.tls_defaults, "ecdh_curves")
    if mesh.tls_defaults is not None and twice:
        findings.warn(f"duplicate ECDH curves: {', '.join(twice)}", mesh.tls_defaults, "ecdh_curves")


def _address_fault(address: str) -> str | None:
    host, port = split_host_port(address)
    if not (port.isascii() and port.isdecimal()):
        return f"unable to split {address!r} into host and port"
    name = (
        None
        if fqdn_fault(host) is None or is_ip_address(host)
        else f"{host!r} is not a valid hostname or an IP address"
    )
    return port_fault(int(port)) or name


def _check_proxy(proxy: ProxyConfig, findings: Findings) -> None:
    for field in ("config_path", "binary_path", "discovery_address"):
        if not getattr(proxy, field):
            findings.error(f"{proxy.place.key(field)} must be set", proxy, field)
    if proxy.service_cluster == "":
        findings.error("service cluster must be specified", proxy, "service_cluster")
    if proxy.discovery_address:
        findings.check(_address_fault(proxy.discovery_address), proxy, "discovery_address")
    drain = proxy.drain_duration or timedelta(0)
    fault = duration_fault(drain)
    if fault is None and drain.microseconds:
        fault = "only durations to seconds precision are supported"
    if fault is not None:
        findings.error(f"invalid drain duration: {fault}", proxy, "drain_duration")
    if proxy.statsd_udp_address:
        findings.check(_address_fault(proxy.statsd_udp_address), proxy, "statsd_udp_address")
    for field in ("proxy_admin_port", "status_port"):
        findings.check(port_fault(getattr(proxy, field)), proxy, field)
    if proxy.control_plane_auth_policy == "INHERIT":
        findings.error("unrecognized control plane auth policy INHERIT", proxy, "control_plane_auth_policy")
    if "ISTIO_META_DNS_AUTO_ALLOCATE" in proxy.proxy_metadata:
        message = "ISTIO_META_DNS_AUTO_ALLOCATE is deprecated, istiod allocates addresses by itself now"
        findings.warn(message, proxy, "proxy_metadata", "ISTIO_META_DNS_AUTO_ALLOCATE")
