"""The access logs of a proxy: of its connection managers, TCP proxies and listeners.

Source: Istio pilot/pkg/networking/core/accesslog.go and pilot/pkg/model/telemetry_logging.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sandbox.compiler.access_log_formats import (
    JSON_FORMAT,
    TEXT_FORMAT,
    formatters,
    json_format,
    parse_json_format,
    text_format,
)
from sandbox.compiler.provenance import written
from sandbox.compiler.provider_clusters import lookup_cluster
from sandbox.compiler.telemetry import (
    ProviderLogging,
    TelemetryResource,
    applicable_telemetries,
    find_provider,
    merge_access_logging,
)
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.extension_provider import ExtensionProvider
from sandbox.istio.log_providers import EnvoyFileAccessLogProvider, EnvoyOpenTelemetryLogProvider
from sandbox.istio.mesh_config import MeshConfig
from sandbox.plan.access_log import (
    AccessLog,
    AccessLogFilter,
    AndFilter,
    CommonGrpcAccessLogConfig,
    ExpressionFilter,
    FileAccessLog,
    HttpGrpcAccessLogConfig,
    OpenTelemetryAccessLogConfig,
    ResponseFlagFilter,
    SubstitutionFormatString,
    TcpGrpcAccessLogConfig,
)
from sandbox.plan.base import EnvoyGrpc, Extension, GrpcService, TypedExtensionConfig
from sandbox.plan.because import Because, IstioDefault

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

FILE_LOG: Final = "envoy.access_loggers.file"
HTTP_GRPC_LOG: Final = "envoy.access_loggers.http_grpc"
TCP_GRPC_LOG: Final = "envoy.tcp_grpc_access_log"
OTEL_LOG: Final = "envoy.access_loggers.open_telemetry"
CEL_FILTER: Final = "envoy.access_loggers.extension_filters.cel"
BUILTIN_PROVIDER: Final = "envoy"
_STDOUT: Final = "/dev/stdout"
_ALS_CLUSTER: Final = "envoy_accesslog_service"

_PEERS: Final = ("upstream_peer", "downstream_peer")
_ALL_PEERS: Final = (
    *_PEERS,
    "wasm.upstream_peer",
    "wasm.upstream_peer_id",
    "wasm.downstream_peer",
    "wasm.downstream_peer_id",
)
_NO_CHAIN: Final = AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=("NR",)))
"""A listener only logs connections that found no filter chain: nothing else would."""


@dataclass(frozen=True, slots=True)
class AccessLogs:
    """What a proxy's connection managers, TCP proxies and listeners log."""

    http: tuple[AccessLog, ...] = ()
    tcp: tuple[AccessLog, ...] = ()
    listener: tuple[AccessLog, ...] = ()


def build(push: PushContext, proxy: Proxy, telemetries: tuple[TelemetryResource, ...] | None = None) -> AccessLogs:
    """All access logs of a sidecar's outbound side, or of a gateway."""
    levels = applicable_telemetries(push, proxy) if telemetries is None else telemetries
    merged = merge_access_logging(levels, push.mesh)
    configured = _configured(push, merged) if merged is not None else []
    logs = _from_mesh(push) if not configured else _from_telemetry(configured)
    return replace(logs, listener=()) if push.mesh.disable_envoy_listener_log else logs


# --- without Telemetry: the mesh's file and log service ---


def _from_mesh(push: PushContext) -> AccessLogs:
    mesh = push.mesh
    logs = AccessLogs()
    if mesh.access_log_file:
        log = _file_log_of_mesh(push, mesh.access_log_file, (written("access log", mesh, "access_log_file"),))
        logs = AccessLogs((log,), (log,), (replace(log, filter=_NO_CHAIN),))
    if mesh.enable_envoy_access_log_service:
        because = (written("access log", mesh, "enable_envoy_access_log_service"),)
        http = HttpGrpcAccessLogConfig(common_config=_grpc("http_envoy_accesslog", _ALS_CLUSTER, "", _ALL_PEERS))
        tcp = TcpGrpcAccessLogConfig(common_config=_grpc("tcp_envoy_accesslog", _ALS_CLUSTER, "", _ALL_PEERS))
        of_listener = _grpc("listener_envoy_accesslog", _ALS_CLUSTER, "", _ALL_PEERS)
        listener = TcpGrpcAccessLogConfig(common_config=of_listener)
        logs = AccessLogs(
            (*logs.http, AccessLog(name=HTTP_GRPC_LOG, typed_config=http, because=because)),
            (*logs.tcp, AccessLog(name=TCP_GRPC_LOG, typed_config=tcp, because=because)),
            (
                *logs.listener,
                AccessLog(name=TCP_GRPC_LOG, typed_config=listener, filter=_NO_CHAIN, because=because),
            ),
        )
    return logs


def _file_log_of_mesh(push: PushContext, path: str, because: tuple[Because, ...]) -> AccessLog:
    mesh = push.mesh
    format_because = (
        written("log format", mesh, "access_log_format")
        if mesh.access_log_format
        else Because("log format", IstioDefault("the default format", mesh.origin_of("access_log_encoding")))
    )
    config = FileAccessLog(path=path, log_format=_format_of_mesh(push, mesh))
    return AccessLog(name=FILE_LOG, typed_config=config, because=(*because, format_because))


def _format_of_mesh(push: PushContext, mesh: MeshConfig) -> SubstitutionFormatString:
    if mesh.access_log_encoding == "TEXT":
        return text_format(mesh.access_log_format)
    if not mesh.access_log_format:
        return json_format()
    parsed = parse_json_format(mesh.access_log_format)
    if parsed is None:
        push.problems.report(
            "SBX0532",
            "accessLogFormat is no JSON object though accessLogEncoding is JSON: the default format is used",
            mesh.origin_of("access_log_format"),
        )
        return json_format()
    return json_format(parsed)


# --- with Telemetry, or default providers ---


@dataclass(frozen=True, slots=True)
class _Configured:
    provider: ExtensionProvider
    logging: ProviderLogging
    log: AccessLog


def _configured(push: PushContext, merged: Mapping[str, ProviderLogging]) -> list[_Configured]:
    """Providers that exist and can log, by name."""
    found: list[_Configured] = []
    for name, logging in merged.items():
        provider = find_provider(push.mesh, name)
        log = _provider_log(push, provider) if provider is not None else None
        if provider is None or log is None:
            where = logging.setting.origin if logging.setting is not None else push.mesh.origin_of("default_providers")
            message = f'the access log provider "{name}" does not exist, has no known service, or cannot log'
            push.problems.report("SBX0531", message, where, hint="see extensionProviders of the mesh configuration")
            continue
        found.append(_Configured(provider, logging, log))
    return sorted(found, key=lambda item: item.provider.name)


def _from_telemetry(configured: list[_Configured]) -> AccessLogs:
    enabled = [item for item in configured if not item.logging.disabled]
    logs = tuple(_filtered(item, ()) for item in enabled)
    return AccessLogs(logs, logs, tuple(_filtered(item, (_NO_CHAIN,)) for item in enabled))


def _filtered(item: _Configured, filters: tuple[AccessLogFilter, ...]) -> AccessLog:
    expression = item.logging.expression
    if expression is not None:
        cel = TypedExtensionConfig(name=CEL_FILTER, typed_config=ExpressionFilter(expression=expression))
        filters = (*filters, AccessLogFilter(extension_filter=cel))
    combined = AccessLogFilter(and_filter=AndFilter(filters=filters)) if len(filters) > 1 else next(iter(filters), None)
    setting = item.logging.setting
    because = (Because("access log", setting.origin),) if setting is not None else ()
    return replace(item.log, filter=combined, because=(*because, *item.log.because))


def _provider_log(push: PushContext, provider: ExtensionProvider) -> AccessLog | None:
    because = (written("access log provider", provider),)
    file = provider.envoy_file_access_log
    if file is not None:
        if provider.name == BUILTIN_PROVIDER and file.log_format is None and not file.omit_empty_values:
            return _file_log_of_mesh(push, file.path, because)
        return AccessLog(name=FILE_LOG, typed_config=_file(file), because=because)
    named = _grpc_log(push, provider)
    return AccessLog(name=named[0], typed_config=named[1], because=because) if named is not None else None


def _file(provider: EnvoyFileAccessLogProvider) -> FileAccessLog:
    omit = provider.omit_empty_values
    given = provider.log_format
    log_format: SubstitutionFormatString | None = None
    if given is None or given.text is not None:
        log_format = text_format((given.text if given is not None else None) or "", omit_empty_values=omit)
    elif given.labels is not None:
        log_format = json_format(given.labels or JSON_FORMAT, omit_empty_values=omit)
    return FileAccessLog(path=provider.path or _STDOUT, log_format=log_format)


def _grpc_log(push: PushContext, provider: ExtensionProvider) -> tuple[str, Extension] | None:
    """Name and settings of a log that goes to a service; None where the service is unknown."""
    given = provider.envoy_http_als or provider.envoy_tcp_als or provider.envoy_otel_als
    target = lookup_cluster(push, given.service, given.port) if given is not None else None
    if target is None:
        return None
    if provider.envoy_http_als is not None:
        http = provider.envoy_http_als
        peers = http.filter_state_objects_to_log or _PEERS
        return HTTP_GRPC_LOG, HttpGrpcAccessLogConfig(
            common_config=_grpc(http.log_name or "http_envoy_accesslog", target.cluster, target.host, peers),
            additional_request_headers_to_log=http.additional_request_headers_to_log,
            additional_response_headers_to_log=http.additional_response_headers_to_log,
            additional_response_trailers_to_log=http.additional_response_trailers_to_log,
        )
    if provider.envoy_tcp_als is not None:
        tcp = provider.envoy_tcp_als
        peers = tcp.filter_state_objects_to_log or _PEERS
        common = _grpc(tcp.log_name or "tcp_envoy_accesslog", target.cluster, target.host, peers)
        return TCP_GRPC_LOG, TcpGrpcAccessLogConfig(common_config=common)
    assert provider.envoy_otel_als is not None
    name = provider.envoy_otel_als.log_name or "otel_envoy_accesslog"
    return OTEL_LOG, _open_telemetry(provider.envoy_otel_als, _grpc(name, target.cluster, target.host, _ALL_PEERS))


def _open_telemetry(
    provider: EnvoyOpenTelemetryLogProvider, common: CommonGrpcAccessLogConfig
) -> OpenTelemetryAccessLogConfig:
    given = provider.log_format
    text = (given.text if given is not None else "") or TEXT_FORMAT
    labels = (given.labels if given is not None else None) or {}
    texts = {key: value if isinstance(value, str) else "" for key, value in sorted(labels.items())}
    attributes = [{"key": key, "value": {"string_value": value}} for key, value in texts.items()]
    return OpenTelemetryAccessLogConfig(
        common_config=common,
        disable_builtin_labels=True,
        body={"string_value": text},
        attributes={"values": attributes} if attributes else None,
        formatters=formatters(" ".join((text, *texts.values()))),
    )


def _grpc(log_name: str, cluster: str, authority: str, filter_state: tuple[str, ...]) -> CommonGrpcAccessLogConfig:
    return CommonGrpcAccessLogConfig(
        log_name=log_name,
        grpc_service=GrpcService(envoy_grpc=EnvoyGrpc(cluster_name=cluster, authority=authority)),
        transport_api_version="V3",
        filter_state_objects_to_log=filter_state,
    )
