"""The TLS context with which a gateway's server terminates TLS.

Source: Istio pilot/pkg/networking/core/listener.go (``BuildListenerTLSContext``) and
pilot/pkg/security/model/authentication.go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sandbox.compiler.gateways import GatewayServer
from sandbox.compiler.names import CONFIG_MAP, EXTERNAL_SDS
from sandbox.istio.cipher_suites import valid_cipher_suites
from sandbox.istio.gateway import ServerTLSSettings
from sandbox.istio.mesh_config import TLSConfig
from sandbox.plan.base import DataSource, StringMatcher
from sandbox.plan.because import Because
from sandbox.plan.secret_names import (
    CA_SUFFIX,
    FILE_ROOT,
    KUBERNETES,
    MESH_ROOT,
    WORKLOAD_CERTIFICATE,
    file_certificate,
)
from sandbox.plan.tls import (
    CertificateValidationContext,
    CombinedCertificateValidationContext,
    CommonTlsContext,
    DownstreamTlsContext,
    SdsSecretConfig,
    TlsParameters,
    TransportSocket,
)

if TYPE_CHECKING:
    from sandbox.compiler.push_context import PushContext

TLS_TRANSPORT_SOCKET: Final = "envoy.transport_sockets.tls"

_BUILTIN: Final = "builtin://"
_INVALID: Final = "invalid://"
_TYPED_CREDENTIALS: Final = (CONFIG_MAP, KUBERNETES, "kubernetes-gateway://")

_ALPN_HTTP: Final = ("h2", "http/1.1")
_ALPN_MESH_TCP: Final = ("istio-peer-exchange", "h2", "http/1.1")

_REQUIRES_CERTIFICATE: Final = frozenset({"MUTUAL", "ISTIO_MUTUAL"})
_TAKES_PARAMETERS: Final = frozenset({"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"})
_ENVOY_VERSIONS: Final = {
    "TLSV1_0": "TLSv1_0",
    "TLSV1_1": "TLSv1_1",
    "TLSV1_2": "TLSv1_2",
    "TLSV1_3": "TLSv1_3",
}


def build_transport_socket(entry: GatewayServer, push: PushContext) -> TransportSocket | None:
    """The transport socket of a server's chains; None for plain text and for TLS that passes through."""
    context = build_tls_context(entry, push)
    return None if context is None else TransportSocket(name=TLS_TRANSPORT_SOCKET, typed_config=context)


def build_tls_context(entry: GatewayServer, push: PushContext) -> DownstreamTlsContext | None:
    """The server's TLS context; None where the gateway does not terminate TLS."""
    settings = entry.server.tls
    if settings is None or entry.is_passthrough:
        return None
    exchanges_peers = settings.mode == "ISTIO_MUTUAL" and not entry.terminates_https
    mesh_tcp = exchanges_peers and push.features.offers_peer_exchange
    common = CommonTlsContext(alpn_protocols=_ALPN_MESH_TCP if mesh_tcp else _ALPN_HTTP)
    common = _with_certificates(common, settings)
    if settings.mode in _TAKES_PARAMETERS:
        common = replace(common, tls_params=_parameters(settings, push.mesh.tls_defaults))
    return DownstreamTlsContext(
        common_tls_context=common,
        require_client_certificate=settings.mode in _REQUIRES_CERTIFICATE,
        because=(Because("TLS settings", settings.origin),),
    )


def _with_certificates(common: CommonTlsContext, settings: ServerTLSSettings) -> CommonTlsContext:
    if settings.mode == "ISTIO_MUTUAL":
        return _from_files(common, ServerTLSSettings(mode=settings.mode, ca_crl=settings.ca_crl), settings)
    if settings.credential_names or settings.credential_name:
        return _from_credentials(common, settings)
    return _from_files(common, settings, settings)


def _from_files(common: CommonTlsContext, files: ServerTLSSettings, settings: ServerTLSSettings) -> CommonTlsContext:
    """Certificates that the agent serves from files; without files those of the workload itself."""
    pairs = [(pair.server_certificate, pair.private_key) for pair in files.tls_certificates]
    pairs = pairs or [(files.server_certificate, files.private_key)]
    names = tuple(file_certificate(chain, key) if chain and key else WORKLOAD_CERTIFICATE for chain, key in pairs)
    common = replace(common, tls_certificate_sds_secret_configs=tuple(SdsSecretConfig(name=name) for name in names))
    if settings.mode not in _REQUIRES_CERTIFICATE and settings.mode != "OPTIONAL_MUTUAL":
        return common
    checks = CertificateValidationContext(
        match_subject_alt_names=_exactly(settings.subject_alt_names),
        crl=DataSource(filename=settings.ca_crl) if settings.ca_crl else None,
        trust_chain_verification=_trust(settings),
    )
    root = f"{FILE_ROOT}{files.ca_certificates}" if files.ca_certificates else MESH_ROOT
    return _validating(common, checks, root)


def _from_credentials(common: CommonTlsContext, settings: ServerTLSSettings) -> CommonTlsContext:
    """Certificates that istiod reads from Secrets."""
    names = settings.credential_names or (settings.credential_name,)
    secrets = tuple(SdsSecretConfig(name=credential_resource(name)) for name in names)
    common = replace(common, tls_certificate_sds_secret_configs=secrets)
    if settings.mode in ("MUTUAL", "OPTIONAL_MUTUAL"):
        checks = CertificateValidationContext(
            match_subject_alt_names=_exactly(settings.subject_alt_names),
            verify_certificate_spki=settings.verify_certificate_spki,
            verify_certificate_hash=settings.verify_certificate_hash,
            trust_chain_verification=_trust(settings),
        )
        authority = settings.ca_cert_credential_name or f"{names[0]}{CA_SUFFIX}"
        return _validating(common, checks, credential_resource(authority))
    if settings.subject_alt_names:
        checks = CertificateValidationContext(match_subject_alt_names=_exactly(settings.subject_alt_names))
        return replace(common, validation_context=checks)
    return common


def credential_resource(name: str) -> str:
    """The secret's name in SDS for a ``credentialName`` (Istio pilot/pkg/model/credentials)."""
    if name == _BUILTIN + CA_SUFFIX:
        return MESH_ROOT
    if name.startswith(_BUILTIN):
        return WORKLOAD_CERTIFICATE
    if name.startswith(_INVALID):
        return _INVALID
    name = name.removeprefix(EXTERNAL_SDS)
    return name if name.startswith(_TYPED_CREDENTIALS) else f"{KUBERNETES}{name}"


def _validating(common: CommonTlsContext, checks: CertificateValidationContext, root: str) -> CommonTlsContext:
    combined = CombinedCertificateValidationContext(
        default_validation_context=checks, validation_context_sds_secret_config=SdsSecretConfig(name=root)
    )
    return replace(common, combined_validation_context=combined)


def _exactly(names: tuple[str, ...]) -> tuple[StringMatcher, ...]:
    return tuple(StringMatcher(exact=name) for name in names)


def _trust(settings: ServerTLSSettings) -> str:
    return "ACCEPT_UNTRUSTED" if settings.insecure_skip_verify else "VERIFY_TRUST_CHAIN"


def _parameters(settings: ServerTLSSettings, defaults: TLSConfig | None) -> TlsParameters | None:
    """Versions, suites and curves: the server's own before the mesh's ``tlsDefaults``."""
    defaults = defaults or TLSConfig()
    minimum = settings.min_protocol_version
    if minimum == "TLS_AUTO" and defaults.min_protocol_version != "TLS_AUTO":
        minimum = defaults.min_protocol_version
    parameters = TlsParameters(
        tls_minimum_protocol_version=_ENVOY_VERSIONS.get(minimum, "TLS_AUTO"),
        tls_maximum_protocol_version=_ENVOY_VERSIONS.get(settings.max_protocol_version, "TLS_AUTO"),
        cipher_suites=valid_cipher_suites(settings.cipher_suites) or defaults.cipher_suites,
        ecdh_curves=settings.ecdh_curves or defaults.ecdh_curves,
    )
    return None if parameters == TlsParameters() else parameters
