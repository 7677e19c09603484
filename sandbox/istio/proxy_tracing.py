"""Tracing settings of a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.client_tls import ClientTLSSettings
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import Int64, UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentTag(Message):
    """``istio.mesh.v1alpha1.Tracing.Environment``: an environment variable of the proxy."""

    name: str = ""
    default_value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralTag(Message):
    """``istio.mesh.v1alpha1.Tracing.Literal``: a fixed value."""

    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeaderTag(Message):
    """``istio.mesh.v1alpha1.Tracing.RequestHeader``: a request header."""

    name: str = ""
    default_value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomTag(Message):
    """``istio.mesh.v1alpha1.Tracing.CustomTag``: where the value of a tag comes from."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("literal", "environment", "header"),)

    literal: LiteralTag | None = None
    environment: EnvironmentTag | None = None
    header: RequestHeaderTag | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Datadog(Message):
    """``istio.mesh.v1alpha1.Tracing.Datadog``: the address of a Datadog agent."""

    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lightstep(Message):
    """``istio.mesh.v1alpha1.Tracing.Lightstep``: address and token of Lightstep."""

    address: str = ""
    access_token: str = ""


TraceContext = Literal["UNSPECIFIED", "W3C_TRACE_CONTEXT", "GRPC_BIN", "CLOUD_TRACE_CONTEXT", "B3"]
"""``istio.mesh.v1alpha1.Tracing.OpenCensusAgent.TraceContext``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCensusAgent(Message):
    """``istio.mesh.v1alpha1.Tracing.OpenCensusAgent``: address and formats of an OpenCensus agent."""

    address: str = ""
    context: tuple[TraceContext, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stackdriver(Message):
    """``istio.mesh.v1alpha1.Tracing.Stackdriver``: limits of spans for Google Cloud."""

    debug: bool = False
    max_number_of_attributes: Int64 | None = None
    max_number_of_annotations: Int64 | None = None
    max_number_of_message_events: Int64 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zipkin(Message):
    """``istio.mesh.v1alpha1.Tracing.Zipkin``: the address of a Zipkin collector."""

    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing(Message):
    """``istio.mesh.v1alpha1.Tracing``: where spans go, and how many."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("zipkin", "lightstep", "datadog", "stackdriver", "open_census_agent"),
    )

    zipkin: Zipkin | None = None
    lightstep: Lightstep | None = None
    datadog: Datadog | None = None
    stackdriver: Stackdriver | None = None
    open_census_agent: OpenCensusAgent | None = None
    custom_tags: Mapping[str, CustomTag] = EMPTY
    max_path_tag_length: UInt32 = 0
    sampling: float = 0.0
    tls_settings: ClientTLSSettings | None = None
    enable_istio_tags: bool | None = None
