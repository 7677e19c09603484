"""Which headers a proxy adds or changes."""

from __future__ import annotations

from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message

ForwardClientCertDetails = Literal[
    "UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"
]
"""``istio.mesh.v1alpha1.ForwardClientCertDetails``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCountHeader(Message):
    """``istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders.AttemptCount``: x-envoy-attempt-count."""

    disabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyDebugHeaders(Message):
    """``istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders.EnvoyDebugHeaders``: x-envoy-decorator-operation and its like."""

    disabled: bool | None = None


MetadataExchangeMode = Literal["UNDEFINED", "IN_MESH"]
"""``istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders.MetadataExchangeMode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataExchangeHeaders(Message):
    """``istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders.MetadataExchangeHeaders``: x-envoy-peer-metadata."""

    mode: MetadataExchangeMode = "UNDEFINED"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestIdHeader(Message):
    """``istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders.RequestId``: x-request-id."""

    disabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHeader(Message):
    """``istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders.Server``: the header server, and its value."""

    disabled: bool | None = None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCurrentClientCertDetails(Message):
    """What x-forwarded-client-cert says.

    ``istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders.SetCurrentClientCertDetails``
    """

    subject: bool | None = None
    cert: bool | None = None
    chain: bool | None = None
    dns: bool | None = None
    uri: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class XForwardedHost(Message):
    """``istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders.XForwardedHost``: x-forwarded-host."""

    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class XForwardedPort(Message):
    """``istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders.XForwardedPort``: x-forwarded-port."""

    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeaders(Message):
    """``istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders``: headers the proxy adds, each of which can be switched off."""

    forwarded_client_cert: ForwardClientCertDetails = "UNDEFINED"
    set_current_client_cert_details: SetCurrentClientCertDetails | None = None
    request_id: RequestIdHeader | None = None
    server: ServerHeader | None = None
    attempt_count: AttemptCountHeader | None = None
    envoy_debug_headers: EnvoyDebugHeaders | None = None
    metadata_exchange_headers: MetadataExchangeHeaders | None = None
    preserve_http1_header_case: bool | None = None
    x_forwarded_host: XForwardedHost | None = None
    x_forwarded_port: XForwardedPort | None = None
