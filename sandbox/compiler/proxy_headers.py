"""Which headers a proxy adds, from ``proxyHeaders`` of its ProxyConfig.

Source: Istio pilot/pkg/networking/util/proxy_headers.go.
"""

from __future__ import annotations

from typing import Final

from sandbox.frozen_dataclass import dataclass
from sandbox.istio import proxy_headers
from sandbox.istio.proxy_config import ProxyConfig

GATEWAY_SERVER_NAME: Final = "istio-envoy"
_NONE: Final = proxy_headers.ProxyHeaders()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderSettings:
    """``proxyHeaders`` with Istio's defaults filled in."""

    server_name: str
    server_header_transformation: str
    forward_client_cert_details: str
    set_current_client_cert_details: proxy_headers.SetCurrentClientCertDetails | None
    include_request_attempt_count: bool
    generate_request_id: bool | None
    suppress_debug_headers: bool
    x_forwarded_port: bool
    x_forwarded_host: bool
    preserve_header_case: bool


def header_settings(config: ProxyConfig, sidecar_outbound: bool) -> HeaderSettings:
    """The settings of a sidecar's outbound side, where the server is called ``envoy``, or of a gateway."""
    given = config.proxy_headers or _NONE
    server = given.server or proxy_headers.ServerHeader()
    name = server.value or ("" if sidecar_outbound else GATEWAY_SERVER_NAME)
    cert = given.forwarded_client_cert
    return HeaderSettings(
        server_name="" if server.disabled else name,
        server_header_transformation="PASS_THROUGH" if server.disabled else "OVERWRITE",
        forward_client_cert_details="APPEND_FORWARD" if cert == "UNDEFINED" else cert,
        set_current_client_cert_details=given.set_current_client_cert_details,
        include_request_attempt_count=not (given.attempt_count and given.attempt_count.disabled),
        generate_request_id=False if given.request_id and given.request_id.disabled else None,
        suppress_debug_headers=bool(given.envoy_debug_headers and given.envoy_debug_headers.disabled),
        x_forwarded_port=bool(given.x_forwarded_port and given.x_forwarded_port.enabled),
        x_forwarded_host=bool(given.x_forwarded_host and given.x_forwarded_host.enabled),
        preserve_header_case=bool(given.preserve_http1_header_case),
    )
