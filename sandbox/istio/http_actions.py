"""What an HTTP route can do besides forwarding: redirect, answer, rewrite, retry, mirror, CORS."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination import Destination, Percent, StringMatch
from sandbox.istio.message import Message
from sandbox.istio.scalars import Int32, UInt32

RedirectPortSelection = Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]
"""``istio.networking.v1alpha3.HTTPRedirect.RedirectPortSelection``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRedirect(Message):
    """``istio.networking.v1alpha3.HTTPRedirect``: answer with a redirect."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("port", "derive_port"),)

    uri: str = ""
    authority: str = ""
    port: UInt32 | None = None
    derive_port: RedirectPortSelection | None = None
    scheme: str = ""
    redirect_code: UInt32 = 0
    prefix_rewrite: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPBody(Message):
    """``istio.networking.v1alpha3.HTTPBody``: a body as text or as base64."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("string", "bytes"),)

    string: str | None = None
    bytes: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPDirectResponse(Message):
    """``istio.networking.v1alpha3.HTTPDirectResponse``: answer with a fixed status and body."""

    status: UInt32 = 0
    body: HTTPBody | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexRewrite(Message):
    """``istio.networking.v1alpha3.RegexRewrite``: RE2 substitution on the path."""

    match: str = ""
    rewrite: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRewrite(Message):
    """``istio.networking.v1alpha3.HTTPRewrite``: what changes in path and authority before forwarding."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRetry(Message):
    """``istio.networking.v1alpha3.HTTPRetry``: how often and when a failed request is tried again."""

    attempts: Int32 = 0
    per_try_timeout: timedelta | None = None
    retry_on: str = ""
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    backoff: timedelta | None = None


UnmatchedPreflights = Literal["UNSPECIFIED", "FORWARD", "IGNORE"]
"""``istio.networking.v1alpha3.CorsPolicy.UnmatchedPreflights``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy(Message):
    """``istio.networking.v1alpha3.CorsPolicy``: cross-origin rules."""

    allow_origin: tuple[str, ...] = ()
    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: timedelta | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: UnmatchedPreflights = "UNSPECIFIED"


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPMirrorPolicy(Message):
    """``istio.networking.v1alpha3.HTTPMirrorPolicy``: where copies of requests go."""

    destination: Destination | None = None
    percentage: Percent | None = None
