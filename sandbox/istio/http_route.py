"""HTTP rules of a VirtualService."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination import Destination, Percent, StringMatch
from sandbox.istio.headers import Headers
from sandbox.istio.http_actions import (
    CorsPolicy,
    HTTPDirectResponse,
    HTTPMirrorPolicy,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
)
from sandbox.istio.http_fault import HTTPFaultInjection
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import Int32, UInt32


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate(Message):
    """``istio.networking.v1alpha3.Delegate``: another VirtualService that holds the routes."""

    name: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPMatchRequest(Message):
    """``istio.networking.v1alpha3.HTTPMatchRequest``: conditions on one request; all must hold."""

    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[str, StringMatch] = EMPTY
    port: UInt32 = 0
    source_labels: Mapping[str, str] = EMPTY
    gateways: tuple[str, ...] = ()
    query_params: Mapping[str, StringMatch] = EMPTY
    ignore_uri_case: bool = False
    without_headers: Mapping[str, StringMatch] = EMPTY
    source_namespace: str = ""
    stat_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRouteDestination(Message):
    """``istio.networking.v1alpha3.HTTPRouteDestination``: one weighted destination of an HTTP route."""

    destination: Destination | None = None
    weight: Int32 = 0
    headers: Headers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRoute(Message):
    """``istio.networking.v1alpha3.HTTPRoute``: one HTTP rule: matches, and what happens to the request."""

    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: tuple[HTTPRouteDestination, ...] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: timedelta | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    mirror_percent: UInt32 | None = None
    mirror_percentage: Percent | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None
