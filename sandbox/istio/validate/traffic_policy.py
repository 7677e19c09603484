"""Connection pools, outlier detection and TLS of a traffic policy."""

from __future__ import annotations

from typing import Final

from sandbox.istio.client_tls import ClientTLSSettings
from sandbox.istio.connection_pool import (
    ConnectionKeepalive,
    ConnectionPoolSettings,
    HTTPSettings,
    OutlierDetection,
    TCPSettings,
)
from sandbox.istio.message import Message
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.primitives import duration_fault, percent_fault

_CONFIG_MAP: Final = "configmap://"


def check_duration(at: Message, field: str, findings: Findings) -> None:
    """A duration that may be absent."""
    value = getattr(at, field)
    if value is not None:
        findings.check(duration_fault(value), at, field)


def check_outlier_detection(outlier: OutlierDetection | None, findings: Findings) -> None:
    """When endpoints are set aside, and for how long."""
    if outlier is None:
        return
    check_duration(outlier, "base_ejection_time", findings)
    if outlier.consecutive_errors:
        message = (
            "outlier detection consecutive errors is deprecated, "
            "use consecutiveGatewayErrors or consecutive5xxErrors instead"
        )
        findings.warn(message, outlier, "consecutive_errors")
    if not outlier.split_external_local_origin_errors and (outlier.consecutive_local_origin_failures or 0) > 0:
        message = "consecutiveLocalOriginFailures counts only with splitExternalLocalOriginErrors"
        hint = "set splitExternalLocalOriginErrors: true"
        findings.error(message, outlier, "consecutive_local_origin_failures", hint=hint)
    check_duration(outlier, "interval", findings)
    for field in ("max_ejection_percent", "min_health_percent"):
        findings.check(percent_fault(getattr(outlier, field)), outlier, field)


def check_connection_pool(pool: ConnectionPoolSettings | None, findings: Findings, *, of_mesh: bool = False) -> None:
    """Limits and timeouts of connections; istiod does not look at the mesh's own keep-alive of HTTP/2."""
    if pool is None:
        return
    if pool.http is None and pool.tcp is None:
        findings.error("connection pool must have at least one field", pool, hint="set http or tcp")
    if pool.http is not None:
        _check_http(pool.http, findings)
        if not of_mesh:
            _check_keep_alive(pool.http.http2_keep_alive, findings)
    if pool.tcp is not None:
        _check_tcp(pool.tcp, findings)


def _check_not_negative(at: Message, fields: tuple[str, ...], findings: Findings) -> None:
    for field in fields:
        if getattr(at, field) < 0:
            findings.error(f"{field.replace('_', ' ')} must be non-negative", at, field)


_HTTP_COUNTS: Final = (
    "http1_max_pending_requests",
    "http2_max_requests",
    "max_requests_per_connection",
    "max_retries",
    "max_concurrent_streams",
)


def _check_http(http: HTTPSettings, findings: Findings) -> None:
    _check_not_negative(http, _HTTP_COUNTS, findings)
    check_duration(http, "idle_timeout", findings)
    if http.h2_upgrade_policy == "UPGRADE" and http.use_client_protocol:
        findings.error(
            "useClientProtocol must not be true when h2UpgradePolicy is UPGRADE", http, "use_client_protocol"
        )


def _check_keep_alive(keepalive: ConnectionKeepalive | None, findings: Findings) -> None:
    if keepalive is None:
        return
    for field in ("interval", "timeout"):
        if getattr(keepalive, field) is None:
            findings.error(f"http2 keepalive {field} is required", keepalive)
        check_duration(keepalive, field, findings)


def _check_tcp(tcp: TCPSettings, findings: Findings) -> None:
    _check_not_negative(tcp, ("max_connections",), findings)
    check_duration(tcp, "connect_timeout", findings)
    check_duration(tcp, "max_connection_duration", findings)
    # Zero switches the timeout off; istiod counts whole milliseconds, so anything below one is zero too.
    if tcp.idle_timeout is not None and abs(tcp.idle_timeout.total_seconds()) >= 0.001:
        check_duration(tcp, "idle_timeout", findings)
    if tcp.tcp_keepalive is not None:
        check_duration(tcp.tcp_keepalive, "time", findings)
        check_duration(tcp.tcp_keepalive, "interval", findings)


def check_client_tls(namespace: str, tls: ClientTLSSettings | None, findings: Findings) -> None:
    """TLS towards an upstream: which files or secret, and what they exclude."""
    if tls is None:
        return
    if tls.credential_name.startswith(_CONFIG_MAP):
        _check_config_map(namespace, tls, findings)
    if tls.insecure_skip_verify:
        _check_unverified(tls, findings)
    if tls.mode not in ("SIMPLE", "MUTUAL"):
        return
    if tls.credential_name:
        _check_only_credential(tls, findings)
        return
    for field in ("client_certificate", "private_key"):
        if tls.mode == "MUTUAL" and not getattr(tls, field):
            findings.error(f"{field.replace('_', ' ')} required for mutual tls", tls, "mode")


def _check_only_credential(tls: ClientTLSSettings, findings: Findings) -> None:
    files = ("client_certificate", "ca_certificates", "private_key", "ca_crl")
    written = next((field for field in files if getattr(tls, field)), None)
    if written is not None:
        message = "cannot specify client certificates or CA certificate or CA CRL if credentialName is set"
        findings.error(message, tls, written)


def _check_unverified(tls: ClientTLSSettings, findings: Findings) -> None:
    excluded = {
        "SIMPLE": ("ca_certificates", "credential_name", "subject_alt_names"),
        "MUTUAL": ("ca_certificates", "subject_alt_names"),
    }.get(tls.mode, ())
    for field in excluded:
        if getattr(tls, field):
            message = f"cannot specify {tls.place.key(field)} when insecureSkipVerify is set true"
            findings.error(message, tls, field)


def _check_config_map(namespace: str, tls: ClientTLSSettings, findings: Findings) -> None:
    parts = tls.credential_name.removeprefix(_CONFIG_MAP).split("/")
    if len(parts) < 2 or not parts[0] or not parts[1]:
        message = f"invalid credentialName {tls.credential_name!r}"
        findings.error(message, tls, "credential_name", hint="write configmap://namespace/name")
    elif parts[0] != namespace:
        message = f"invalid credentialName: namespace must be that of the configuration, {namespace!r}"
        findings.error(message, tls, "credential_name")
