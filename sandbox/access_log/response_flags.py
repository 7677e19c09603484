"""Envoy's response flags: short name, long name, and what they say; the order is Envoy's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec


class ResponseFlag(msgspec.Struct, frozen=True):
    """One flag: ``UH``, ``NoHealthyUpstream``, and a sentence for people."""

    short: str
    long: str
    meaning: str


RESPONSE_FLAGS: Final = (
    ResponseFlag("LH", "FailedLocalHealthCheck", "the local service failed its health check"),
    ResponseFlag("UH", "NoHealthyUpstream", "the cluster has no healthy host"),
    ResponseFlag("UT", "UpstreamRequestTimeout", "the upstream did not answer in time"),
    ResponseFlag("LR", "LocalReset", "the connection was reset by the proxy"),
    ResponseFlag("UR", "UpstreamRemoteReset", "the upstream reset the connection or stream"),
    ResponseFlag("UF", "UpstreamConnectionFailure", "the connection to the upstream failed"),
    ResponseFlag("UC", "UpstreamConnectionTermination", "the upstream closed the connection"),
    ResponseFlag("UO", "UpstreamOverflow", "a circuit breaker of the cluster is open"),
    ResponseFlag("NR", "NoRouteFound", "no route matches the request, or no filter chain the connection"),
    ResponseFlag("DI", "DelayInjected", "a fault delayed the request"),
    ResponseFlag("FI", "FaultInjected", "a fault aborted the request"),
    ResponseFlag("RL", "RateLimited", "the request was rate limited"),
    ResponseFlag("UAEX", "UnauthorizedExternalService", "the external authorization service denied the request"),
    ResponseFlag("RLSE", "RateLimitServiceError", "the rate limit service failed"),
    ResponseFlag("DC", "DownstreamConnectionTermination", "the client closed the connection"),
    ResponseFlag("URX", "UpstreamRetryLimitExceeded", "all retries or connect attempts are used up"),
    ResponseFlag("SI", "StreamIdleTimeout", "the stream was idle for too long"),
    ResponseFlag("IH", "InvalidEnvoyRequestHeaders", "a strictly checked header has an invalid value"),
    ResponseFlag("DPE", "DownstreamProtocolError", "the client's request breaks the HTTP protocol"),
    ResponseFlag("UMSDR", "UpstreamMaxStreamDurationReached", "the upstream request reached its maximum duration"),
    ResponseFlag("RFCF", "ResponseFromCacheFilter", "the response came from a cache"),
    ResponseFlag("NFCF", "NoFilterConfigFound", "a filter's configuration did not arrive in time"),
    ResponseFlag("DT", "DurationTimeout", "the connection reached its maximum duration"),
    ResponseFlag("UPE", "UpstreamProtocolError", "the upstream's response breaks the HTTP protocol"),
    ResponseFlag("NC", "NoClusterFound", "the route names a cluster that does not exist"),
    ResponseFlag("OM", "OverloadManagerTerminated", "the overload manager ended the request"),
    ResponseFlag("DF", "DnsResolutionFailed", "the upstream's name could not be resolved"),
    ResponseFlag("DO", "DropOverload", "the cluster drops part of its load"),
    ResponseFlag("DR", "DownstreamRemoteReset", "the client reset the stream"),
    ResponseFlag("UDO", "UnconditionalDropOverload", "the cluster drops all of its load"),
)

BY_SHORT_NAME: Final = {flag.short: flag for flag in RESPONSE_FLAGS}
BITS: Final = {flag.short: 1 << index for index, flag in enumerate(RESPONSE_FLAGS)}
"""What ``response.flags`` of a CEL expression adds up."""


def short_text(flags: Sequence[str]) -> str:
    """As ``%RESPONSE_FLAGS%``: in the order in which they were set, ``-`` for none."""
    return ",".join(flags) if flags else "-"


def long_text(flags: Sequence[str]) -> str:
    """As ``%RESPONSE_FLAGS_LONG%``."""
    return ",".join(BY_SHORT_NAME[flag].long if flag in BY_SHORT_NAME else flag for flag in flags) if flags else "-"
