"""TLS contexts and transport sockets (``envoy.extensions.transport_sockets``)."""

from __future__ import annotations

from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.base import DataSource, Extension, StringMatcher
from sandbox.plan.because import Because, because_field


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsParameters:
    """``TlsParameters``: versions are TLS_AUTO, TLSv1_0 … TLSv1_3."""

    tls_minimum_protocol_version: str = "TLS_AUTO"
    tls_maximum_protocol_version: str = "TLS_AUTO"
    cipher_suites: tuple[str, ...] = ()
    ecdh_curves: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SdsSecretConfig:
    """``SdsSecretConfig``: a secret by name.

    istiod's names are ``default``, ``ROOTCA``, ``kubernetes://x``, ``file-cert:a~b``, ``file-root:system``.
    """

    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateValidationContext:
    """``CertificateValidationContext``."""

    trusted_ca: DataSource | None = None
    match_subject_alt_names: tuple[StringMatcher, ...] = ()
    crl: DataSource | None = None
    verify_certificate_hash: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    trust_chain_verification: str = "VERIFY_TRUST_CHAIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedCertificateValidationContext:
    """``CommonTlsContext.CombinedCertificateValidationContext``."""

    default_validation_context: CertificateValidationContext | None = None
    validation_context_sds_secret_config: SdsSecretConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonTlsContext:
    """``CommonTlsContext``: at most one of the three validation contexts."""

    tls_params: TlsParameters | None = None
    tls_certificate_sds_secret_configs: tuple[SdsSecretConfig, ...] = ()
    validation_context: CertificateValidationContext | None = None
    validation_context_sds_secret_config: SdsSecretConfig | None = None
    combined_validation_context: CombinedCertificateValidationContext | None = None
    alpn_protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTlsContext(Extension):
    """``UpstreamTlsContext``."""

    TYPE: ClassVar[str] = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"

    common_tls_context: CommonTlsContext | None = None
    sni: str = ""
    allow_renegotiation: bool = False
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class DownstreamTlsContext(Extension):
    """``DownstreamTlsContext``."""

    TYPE: ClassVar[str] = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"

    common_tls_context: CommonTlsContext | None = None
    require_client_certificate: bool | None = None
    because: tuple[Because, ...] = because_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBuffer(Extension):
    """``RawBuffer``: plain text."""

    TYPE: ClassVar[str] = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyProtocolConfig:
    """``envoy.config.core.v3.ProxyProtocolConfig``: version V1 or V2."""

    version: str = "V1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSocket:
    """``envoy.config.core.v3.TransportSocket``."""

    name: str = ""
    typed_config: Extension | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyProtocolUpstreamTransport(Extension):
    """``ProxyProtocolUpstreamTransport``: a PROXY header before the inner transport."""

    TYPE: ClassVar[str] = "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"

    config: ProxyProtocolConfig | None = None
    transport_socket: TransportSocket | None = None
