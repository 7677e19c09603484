"""TLS that the proxy itself begins: with which certificates and names, and where that goes wrong as a rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sandbox.explain.call import Call
from sandbox.explain.steps import Step
from sandbox.plan.cluster import Cluster, HttpProtocolOptions, LbEndpoint, UpstreamHttpProtocolOptions
from sandbox.plan.secret_names import (
    CA_SUFFIX,
    FILE_CERTIFICATE,
    FILE_ROOT,
    KUBERNETES,
    MESH_ROOT,
    SYSTEM_ROOT,
    WORKLOAD_CERTIFICATE,
)
from sandbox.plan.tls import (
    CertificateValidationContext,
    CommonTlsContext,
    ProxyProtocolUpstreamTransport,
    TransportSocket,
    UpstreamTlsContext,
)

_SOCKET_MATCH: Final = "envoy.transport_socket_match"
_PLAIN_PORT: Final = 80
_TLS_PORT: Final = 443


def upstream_tls(cluster: Cluster, endpoint: LbEndpoint | None) -> UpstreamTlsContext | None:
    """The TLS towards an endpoint: that of the first match its metadata fulfils, else the cluster's own."""
    metadata = endpoint.metadata if endpoint is not None else None
    labels = ((metadata.filter_metadata if metadata is not None else None) or {}).get(_SOCKET_MATCH, {})
    socket = cluster.transport_socket
    for match in cluster.transport_socket_matches:
        if all(labels.get(key) == value for key, value in (match.match or {}).items()):
            socket = match.transport_socket
            break
    return _tls_of(socket)


def upstream_protocol(cluster: Cluster, *, is_http: bool) -> Iterator[str]:
    """What is spoken besides plain HTTP/1.1 or the client's own bytes."""
    options = _http_options(cluster)
    chosen = options.explicit_http_config if options is not None else None
    if is_http and chosen is not None and chosen.http2_protocol_options is not None:
        yield "HTTP/2"
    if is_http and options is not None and options.use_downstream_protocol_config is not None:
        yield "HTTP as the client speaks it"
    header = cluster.transport_socket.typed_config if cluster.transport_socket is not None else None
    if isinstance(header, ProxyProtocolUpstreamTransport):
        yield f"a PROXY header {header.config.version if header.config is not None else 'V1'} first"


def _tls_of(socket: TransportSocket | None) -> UpstreamTlsContext | None:
    """A PROXY header goes before the handshake."""
    config = socket.typed_config if socket is not None else None
    if isinstance(config, ProxyProtocolUpstreamTransport):
        return _tls_of(config.transport_socket)
    return config if isinstance(config, UpstreamTlsContext) else None


def tls_step(context: UpstreamTlsContext, cluster: Cluster, call: Call, port: int | None, *, is_http: bool) -> Step:
    """``is_http``: whether requests are forwarded, which have a host, or bytes."""
    common = context.common_tls_context or CommonTlsContext()
    own = common.tls_certificate_sds_secret_configs
    automatic = _automatic(cluster) if is_http else UpstreamHttpProtocolOptions()
    told = ["mutual TLS" if own else "TLS"]
    if context.sni:
        told.append(f"SNI {context.sni}")
    else:
        told.append("SNI from the request's host" if automatic.auto_sni else "no SNI")
    parts = [f"certificate {_secret(each.name)}" for each in own]
    parts += _verified(common, automatic)
    if common.alpn_protocols:
        parts.append(f"ALPN {', '.join(common.alpn_protocols)}")
    return Step(
        kind="tls",
        found=", ".join(told),
        reason="; ".join(parts),
        because=context.because,
        notes=()
        if any(each.name == WORKLOAD_CERTIFICATE for each in own)
        else tuple(_notes(call, port, is_http=is_http)),
    )


def plain_notes(port: int | None, *, is_http: bool) -> tuple[str, ...]:
    """What plain requests to a port for TLS come to."""
    if not is_http or port != _TLS_PORT:
        return ()
    return (
        "plain HTTP to port 443: a server that speaks TLS there answers 400 or closes; TLS is begun where a"
        " DestinationRule has tls.mode for the port that was called",
    )


def _notes(call: Call, port: int | None, *, is_http: bool) -> Iterator[str]:
    if call.is_tls and not is_http:
        yield (
            "TLS inside TLS: the program's own handshake goes through the proxy's, and fails unless the server is made"
            " for both; call it by http://, or take this port out of the DestinationRule's TLS"
        )
    if port == _PLAIN_PORT:
        yield (
            "TLS to port 80: a server that speaks plain HTTP there fails the handshake; the port to call is"
            " targetPort in the ServiceEntry"
        )


def _http_options(cluster: Cluster) -> HttpProtocolOptions | None:
    options = (cluster.typed_extension_protocol_options or {}).values()
    return next((each for each in options if isinstance(each, HttpProtocolOptions)), None)


def _automatic(cluster: Cluster) -> UpstreamHttpProtocolOptions:
    http = _http_options(cluster)
    wanted = http.upstream_http_protocol_options if http is not None else None
    return wanted if wanted is not None else UpstreamHttpProtocolOptions()


def _verified(common: CommonTlsContext, automatic: UpstreamHttpProtocolOptions) -> Iterator[str]:
    combined = common.combined_validation_context
    context = common.validation_context
    root = common.validation_context_sds_secret_config
    if combined is not None:
        context, root = combined.default_validation_context, combined.validation_context_sds_secret_config
    trusted = context.trusted_ca if context is not None else None
    if root is None and trusted is None:
        yield "the server's certificate is not verified"
        return
    authorities = _secret(root.name) if root is not None else "a file"
    yield f"the server's certificate must be of {authorities}, for {_names(context, automatic)}"


def _names(context: CertificateValidationContext | None, automatic: UpstreamHttpProtocolOptions) -> str:
    wanted = [
        matcher.exact or matcher.prefix or matcher.suffix or (matcher.safe_regex.regex if matcher.safe_regex else "")
        for matcher in (context.match_subject_alt_names if context is not None else ())
    ]
    if automatic.auto_san_validation:
        wanted.append("the request's host")
    return " or ".join(wanted) or "any name"


def _secret(name: str) -> str:
    """Where certificates come from, in a user's words."""
    if name == WORKLOAD_CERTIFICATE:
        return "of the workload"
    if name == MESH_ROOT:
        return "the mesh's authority"
    if name == SYSTEM_ROOT:
        return "an authority that the system trusts"
    if name.startswith(FILE_ROOT):
        return f"the authorities in {name.removeprefix(FILE_ROOT)}"
    if name.startswith(FILE_CERTIFICATE):
        return f"in {name.removeprefix(FILE_CERTIFICATE).partition('~')[0]}"
    secret = name.removeprefix(KUBERNETES)
    if secret.endswith(CA_SUFFIX):
        return f"the authority in Secret {secret.removesuffix(CA_SUFFIX)}"
    return f"of Secret {secret}"
