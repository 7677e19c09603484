"""TLS and PROXY protocol towards the upstream.

Source: Istio pilot/pkg/networking/core/cluster_tls.go, cluster_traffic_policy.go (``applyUpstreamProxyProtocol``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sandbox.compiler.cluster_draft import ClusterDraft
from sandbox.compiler.gateway_tls import credential_resource
from sandbox.compiler.names import CONFIG_MAP, EXTERNAL_SDS, outbound_sni
from sandbox.compiler.provenance import by_default, written
from sandbox.compiler.services import Resolution, Service
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.client_tls import ClientTLSSettings
from sandbox.istio.traffic_policy import ProxyProtocol, TrafficPolicy
from sandbox.plan.base import DataSource, StringMatcher
from sandbox.plan.because import Because
from sandbox.plan.cluster import DynamicForwardProxyClusterConfig, TransportSocketMatch, UpstreamHttpProtocolOptions
from sandbox.plan.secret_names import CA_SUFFIX, FILE_ROOT, SYSTEM_ROOT, file_certificate
from sandbox.plan.tls import (
    CertificateValidationContext,
    CombinedCertificateValidationContext,
    CommonTlsContext,
    ProxyProtocolConfig,
    ProxyProtocolUpstreamTransport,
    RawBuffer,
    SdsSecretConfig,
    TlsParameters,
    TransportSocket,
    UpstreamTlsContext,
)

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

TLS_SOCKET: Final = "envoy.transport_sockets.tls"
_PROXY_PROTOCOL_SOCKET: Final = "envoy.transport_sockets.upstream_proxy_protocol"
_PLAIN: Final = TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=RawBuffer())
_UNNAMED_PLAIN: Final = TransportSocket(name="raw_buffer", typed_config=RawBuffer())
_NO_TLS_MATCH: Final = TransportSocketMatch(name="tlsMode-disabled", match={}, transport_socket=_PLAIN)
_VERSIONS: Final = TlsParameters(tls_minimum_protocol_version="TLSv1_2", tls_maximum_protocol_version="TLSv1_3")
_ALPN_HTTP2: Final = ("h2",)
_ALPN_IN_MESH: Final = ("istio",)
_PEER_EXCHANGE: Final = "istio-peer-exchange"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSituation:
    """What the TLS settings of one cluster depend on besides the rule."""

    push: PushContext
    proxy: Proxy
    service: Service | None = None
    """None for the cluster of ALLOW_ANY_DYNAMIC_DNS."""
    port: int = 0
    subset: str = ""
    service_accounts: tuple[str, ...] = ()
    with_selector: bool = False
    """The DestinationRule selects workloads, so that its credentials reach only those."""
    mtls_mode: str | None = None
    """What workloads of the service expect: DISABLE, PERMISSIVE, STRICT, or None for unknown."""
    dynamic: bool = False
    """A dynamic forward proxy: the server name comes from each request."""

    @property
    def sni(self) -> str:
        """The server name of mutual TLS inside the mesh."""
        return "" if self.dynamic or self.service is None else outbound_sni(self.service.host, self.port, self.subset)

    @property
    def mesh_external(self) -> bool:
        """Whether the upstream is outside the mesh."""
        return self.service is not None and self.service.mesh_external

    @property
    def upstream(self) -> str:
        """What is reached, in words."""
        return self.service.host if self.service is not None else "any unknown host"


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The settings that hold, and whether istiod chose them (auto mTLS) or the user."""

    settings: ClientTLSSettings | None
    automatic: bool = False


def service_mtls_mode(push: PushContext, policy: TrafficPolicy | None, service: Service, port: int) -> str | None:
    """What auto mTLS may assume (``BestEffortInferServiceMTLSMode``)."""
    if service.mesh_external:
        return None
    balancer = policy.load_balancer if policy is not None else None
    if service.resolution is Resolution.PASSTHROUGH or (balancer is not None and balancer.simple == "PASSTHROUGH"):
        endpoints = push.registry.endpoints_by_port(service, port)
        if not endpoints or any(endpoint.tls_mode == "disabled" for endpoint in endpoints):
            return "DISABLE"
    return push.peer_authentications.namespace_mode(service.namespace) or "PERMISSIVE"


def apply_tls(draft: ClusterDraft, settings: ClientTLSSettings | None, situation: TlsSituation) -> None:
    """Set the transport socket; settings that cannot be used leave the cluster in plain text, as in istiod."""
    chosen = _choose(settings, situation)
    if chosen.settings is None:
        return
    context = tls_context(draft, chosen.settings, situation)
    socket = None if context is None else TransportSocket(name=TLS_SOCKET, typed_config=context)
    draft.transport_socket = socket
    if chosen.settings.mode == "ISTIO_MUTUAL" and chosen.automatic and draft.type != "ORIGINAL_DST":
        draft.transport_socket = None
        match = TransportSocketMatch(name="tlsMode-istio", match={"tlsMode": "istio"}, transport_socket=socket)
        draft.transport_socket_matches = (match, _NO_TLS_MATCH)
    if context is not None or chosen.settings.place:
        draft.because.append(_because(chosen.settings))


def _choose(settings: ClientTLSSettings | None, situation: TlsSituation) -> _Chosen:
    """User's settings completed, or automatic ones (``buildUpstreamTLSSettings``)."""
    mesh = situation.push.mesh
    if settings is None:
        unknown = situation.mtls_mode in (None, "DISABLE")
        if situation.mesh_external or mesh.enable_auto_mtls is not True or unknown:
            return _Chosen(None)
        if situation.proxy.metadata.tls_client_cert_chain:
            return _Chosen(_metadata_mutual(situation, None), automatic=True)
        accounts = situation.service_accounts
        automatic = ClientTLSSettings(mode="ISTIO_MUTUAL", subject_alt_names=accounts, sni=situation.sni)
        return _Chosen(automatic, automatic=True)
    if settings.mode in ("DISABLE", "SIMPLE"):
        return _Chosen(settings)
    if situation.proxy.metadata.tls_client_cert_chain:
        prefer_rule = situation.push.features.prefer_destination_rule_tls_for_external
        external = prefer_rule and situation.mesh_external
        return _Chosen(settings if external else _metadata_mutual(situation, settings))
    if settings.mode != "ISTIO_MUTUAL":
        return _Chosen(settings)
    return _Chosen(
        ClientTLSSettings(
            mode="ISTIO_MUTUAL",
            subject_alt_names=settings.subject_alt_names or situation.service_accounts,
            sni=settings.sni or situation.sni,
            insecure_skip_verify=settings.insecure_skip_verify,
            place=settings.place,
        )
    )


def _metadata_mutual(situation: TlsSituation, settings: ClientTLSSettings | None) -> ClientTLSSettings:
    """MUTUAL with the certificates named by the proxy's metadata."""
    metadata = situation.proxy.metadata
    given = settings if settings is not None else ClientTLSSettings()
    return ClientTLSSettings(
        mode="MUTUAL",
        ca_certificates=metadata.tls_client_root_cert,
        client_certificate=metadata.tls_client_cert_chain,
        private_key=metadata.tls_client_key,
        subject_alt_names=situation.service_accounts if settings is None else given.subject_alt_names,
        sni=situation.sni if settings is None else given.sni,
        insecure_skip_verify=given.insecure_skip_verify,
        place=given.place,
    )


def tls_context(draft: ClusterDraft, settings: ClientTLSSettings, situation: TlsSituation) -> UpstreamTlsContext | None:
    """The context of settings; None for plain text."""
    if settings.mode == "DISABLE" or _credential_out_of_reach(settings, situation):
        return None
    if settings.mode == "ISTIO_MUTUAL":
        return _istio_mutual(draft, settings, situation)
    return _originated(draft, settings, situation)


def _credential_out_of_reach(settings: ClientTLSSettings, situation: TlsSituation) -> bool:
    """Sidecars get credentials only through rules that select them; else they begin no TLS, silently."""
    name = settings.credential_name
    if not name or name.startswith(CONFIG_MAP) or settings.mode == "ISTIO_MUTUAL":
        return False
    if not situation.proxy.is_sidecar or situation.with_selector:
        return False
    situation.push.problems.report(
        "SBX0411",
        f"a sidecar takes no credentialName from a DestinationRule without workloadSelector: without {name!r} it begins"
        f" no TLS, and what a program sends to {situation.upstream} leaves as it is",
        settings.origin_of("credential_name"),
        hint="add a workloadSelector, or name files; where sidecars send these calls to a gateway, which does take it,"
        " nothing is missing",
        node_type="sidecar",
    )
    return True


def _istio_mutual(draft: ClusterDraft, settings: ClientTLSSettings, situation: TlsSituation) -> UpstreamTlsContext:
    if draft.dynamic:
        _apply_auto_names(draft, settings)
    alpn = (*_ALPN_IN_MESH, *_ALPN_HTTP2) if draft.http.version == "HTTP2" else _ALPN_IN_MESH
    if situation.push.features.offers_peer_exchange:
        alpn = (_PEER_EXCHANGE, *alpn)
    return UpstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_params=_VERSIONS,
            tls_certificate_sds_secret_configs=(SdsSecretConfig(name="default"),),
            combined_validation_context=_validation(settings.subject_alt_names, "ROOTCA"),
            alpn_protocols=alpn,
        ),
        sni=settings.sni or ("" if draft.dynamic else draft.name),
        because=(_because(settings),),
    )


def _because(settings: ClientTLSSettings) -> Because:
    if settings.place:
        return written("TLS settings", settings, "mode")
    return by_default("TLS settings", "auto mTLS: workloads of the mesh are reached with mutual TLS")


def _originated(draft: ClusterDraft, settings: ClientTLSSettings, situation: TlsSituation) -> UpstreamTlsContext | None:
    """SIMPLE and MUTUAL (``constructUpstreamTLS``)."""
    _apply_auto_names(draft, settings)
    names = settings.subject_alt_names
    if situation.service is not None and not situation.service.is_kubernetes and not names:
        names = situation.service_accounts
    common = CommonTlsContext(tls_params=_VERSIONS)
    if settings.credential_name:
        common = _with_credential(common, settings, names)
    else:
        if settings.mode == "MUTUAL" and not (settings.client_certificate and settings.private_key):
            _report_no_certificate(settings, situation)
            return None
        common = _with_files(common, settings, names)
    if draft.http.version == "HTTP2":
        common = replace(common, alpn_protocols=_ALPN_HTTP2)
    common = _with_mesh_defaults(common, situation)
    return UpstreamTlsContext(common_tls_context=common, sni=settings.sni, because=(_because(settings),))


def _report_no_certificate(settings: ClientTLSSettings, situation: TlsSituation) -> None:
    situation.push.problems.report(
        "SBX0412",
        f"MUTUAL needs clientCertificate and privateKey: {situation.upstream} is reached in plain text",
        settings.origin,
        severity="warning",
    )


def _with_credential(common: CommonTlsContext, settings: ClientTLSSettings, names: tuple[str, ...]) -> CommonTlsContext:
    """Certificates from a Secret (``ApplyCustomSDSToClientCommonTLSContext``)."""
    name = settings.credential_name.removeprefix(EXTERNAL_SDS)
    if settings.mode == "MUTUAL":
        own = SdsSecretConfig(name=credential_resource(name))
        common = replace(common, tls_certificate_sds_secret_configs=(own,))
    if settings.insecure_skip_verify:
        return common
    root = credential_resource(name + CA_SUFFIX)
    return replace(common, combined_validation_context=_validation(names, root))


def _with_files(common: CommonTlsContext, settings: ClientTLSSettings, names: tuple[str, ...]) -> CommonTlsContext:
    if settings.mode == "MUTUAL":
        own = SdsSecretConfig(name=file_certificate(settings.client_certificate, settings.private_key))
        common = replace(common, tls_certificate_sds_secret_configs=(own,))
    if settings.insecure_skip_verify:
        return replace(common, validation_context=CertificateValidationContext())
    root = f"{FILE_ROOT}{settings.ca_certificates}" if settings.ca_certificates else SYSTEM_ROOT
    crl = DataSource(filename=settings.ca_crl) if settings.ca_crl else None
    return replace(common, combined_validation_context=_validation(names, root, crl))


def _validation(
    names: tuple[str, ...], root: str, crl: DataSource | None = None
) -> CombinedCertificateValidationContext:
    return CombinedCertificateValidationContext(
        default_validation_context=CertificateValidationContext(
            match_subject_alt_names=tuple(StringMatcher(exact=name) for name in names), crl=crl
        ),
        validation_context_sds_secret_config=SdsSecretConfig(name=root),
    )


def _with_mesh_defaults(common: CommonTlsContext, situation: TlsSituation) -> CommonTlsContext:
    defaults = situation.push.mesh.tls_defaults
    if defaults is None:
        return common
    parameters = replace(_VERSIONS, ecdh_curves=defaults.ecdh_curves, cipher_suites=defaults.cipher_suites)
    return replace(common, tls_params=parameters)


def _apply_auto_names(draft: ClusterDraft, settings: ClientTLSSettings) -> None:
    """SNI and the checked name from the request where the rule gives none (``setAutoSniAndAutoSanValidation``)."""
    skip = settings.insecure_skip_verify is True
    auto_sni = not settings.sni
    auto_san = not skip and (draft.dynamic or (auto_sni and not settings.subject_alt_names))
    if draft.dynamic and (skip or not auto_sni or not auto_san):
        _allow_insecure(draft)
    if auto_sni or auto_san:
        options = draft.http.upstream or UpstreamHttpProtocolOptions()
        draft.http.upstream = replace(
            options,
            auto_sni=auto_sni or options.auto_sni,
            auto_san_validation=auto_san or options.auto_san_validation,
        )


def _allow_insecure(draft: ClusterDraft) -> None:
    kind = draft.cluster_type
    if kind is not None and isinstance(kind.typed_config, DynamicForwardProxyClusterConfig):
        config = replace(kind.typed_config, allow_insecure_cluster_options=True)
        draft.cluster_type = replace(kind, typed_config=config)


def apply_proxy_protocol(draft: ClusterDraft, settings: ProxyProtocol | None) -> None:
    """Put a PROXY header before whatever the sockets send."""
    if settings is None:
        return
    if draft.transport_socket is None and not draft.transport_socket_matches:
        draft.transport_socket = _wrapped(_UNNAMED_PLAIN, settings)
        return
    if draft.transport_socket is not None:
        draft.transport_socket = _wrapped(draft.transport_socket, settings)
    draft.transport_socket_matches = tuple(
        replace(match, transport_socket=_wrapped(match.transport_socket, settings))
        for match in draft.transport_socket_matches
    )


def _wrapped(socket: TransportSocket | None, settings: ProxyProtocol) -> TransportSocket:
    return TransportSocket(
        name=_PROXY_PROTOCOL_SOCKET,
        typed_config=ProxyProtocolUpstreamTransport(
            config=ProxyProtocolConfig(version=settings.version), transport_socket=socket
        ),
    )
