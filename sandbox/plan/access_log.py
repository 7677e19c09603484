"""Access logs as Envoy is told to write them (``envoy.config.accesslog.v3``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.base import DataSource, Extension, GrpcService, TypedExtensionConfig
from sandbox.plan.because import Because, because_field


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFlagFilter:
    """``envoy.config.accesslog.v3.ResponseFlagFilter``."""

    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AndFilter:
    """``envoy.config.accesslog.v3.AndFilter``."""

    filters: tuple[AccessLogFilter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionFilter(Extension):
    """A CEL expression, kept as text; compiled where the log is compiled."""

    TYPE: ClassVar[str] = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"

    expression: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogFilter:
    """``envoy.config.accesslog.v3.AccessLogFilter``: exactly one is set."""

    response_flag_filter: ResponseFlagFilter | None = None
    and_filter: AndFilter | None = None
    extension_filter: TypedExtensionConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReqWithoutQuery(Extension):
    """The formatter behind the operator ``%REQ_WITHOUT_QUERY%``."""

    TYPE: ClassVar[str] = "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubstitutionFormatString:
    """``envoy.config.core.v3.SubstitutionFormatString``: ``json_format`` or ``text_format_source``."""

    text_format_source: DataSource | None = None
    json_format: Mapping[str, object] | None = None
    omit_empty_values: bool = False
    formatters: tuple[TypedExtensionConfig, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAccessLog(Extension):
    """``envoy.extensions.access_loggers.file.v3.FileAccessLog``."""

    TYPE: ClassVar[str] = "envoy.extensions.access_loggers.file.v3.FileAccessLog"

    path: str = ""
    log_format: SubstitutionFormatString | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonGrpcAccessLogConfig:
    """``envoy.extensions.access_loggers.grpc.v3.CommonGrpcAccessLogConfig``."""

    log_name: str = ""
    grpc_service: GrpcService | None = None
    transport_api_version: str = "AUTO"
    filter_state_objects_to_log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpGrpcAccessLogConfig(Extension):
    """``envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig``; exported, not executed."""

    TYPE: ClassVar[str] = "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig"

    common_config: CommonGrpcAccessLogConfig | None = None
    additional_request_headers_to_log: tuple[str, ...] = ()
    additional_response_headers_to_log: tuple[str, ...] = ()
    additional_response_trailers_to_log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpGrpcAccessLogConfig(Extension):
    """``envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig``; exported, not executed."""

    TYPE: ClassVar[str] = "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig"

    common_config: CommonGrpcAccessLogConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTelemetryAccessLogConfig(Extension):
    """``envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig``; exported, not executed."""

    TYPE: ClassVar[str] = "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig"

    common_config: CommonGrpcAccessLogConfig | None = None
    disable_builtin_labels: bool = False
    body: Mapping[str, object] | None = None
    attributes: Mapping[str, object] | None = None
    formatters: tuple[TypedExtensionConfig, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLog:
    """``envoy.config.accesslog.v3.AccessLog``."""

    name: str = ""
    filter: AccessLogFilter | None = None
    typed_config: Extension | None = None
    because: tuple[Because, ...] = because_field()
