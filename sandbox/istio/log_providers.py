"""Access log providers of the mesh configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message
from sandbox.istio.scalars import UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyFileLogFormat(Message):
    """One text, or labels that make a JSON object.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.EnvoyFileAccessLogProvider.LogFormat``
    """

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("text", "labels"),)

    text: str | None = None
    labels: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyFileAccessLogProvider(Message):
    """An access log written to a file.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.EnvoyFileAccessLogProvider``
    """

    path: str = ""
    log_format: EnvoyFileLogFormat | None = None
    omit_empty_values: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyHttpGrpcV3LogProvider(Message):
    """An access log of HTTP requests sent by gRPC.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.EnvoyHttpGrpcV3LogProvider``
    """

    service: str = ""
    port: UInt32 = 0
    log_name: str = ""
    filter_state_objects_to_log: tuple[str, ...] = ()
    additional_request_headers_to_log: tuple[str, ...] = ()
    additional_response_headers_to_log: tuple[str, ...] = ()
    additional_response_trailers_to_log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyTcpGrpcV3LogProvider(Message):
    """An access log of connections sent by gRPC.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.EnvoyTcpGrpcV3LogProvider``
    """

    service: str = ""
    port: UInt32 = 0
    log_name: str = ""
    filter_state_objects_to_log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTelemetryLogFormat(Message):
    """The body's text and the attributes.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.EnvoyOpenTelemetryLogProvider.LogFormat``
    """

    text: str = ""
    labels: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyOpenTelemetryLogProvider(Message):
    """An access log sent as OpenTelemetry records.

    ``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.EnvoyOpenTelemetryLogProvider``
    """

    service: str = ""
    port: UInt32 = 0
    log_name: str = ""
    log_format: OpenTelemetryLogFormat | None = None
