"""Rules of the API server's schema beyond names and types: what is required, how much, how many, one of several.

They are those of Istio's CustomResourceDefinitions (``required``, bounds, CEL rules). Istiod has most of them too;
here they are told only where it says nothing about the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Final, NamedTuple

from sandbox.istio.message import Message
from sandbox.yaml_source.problems import Problem
from sandbox.yaml_source.span import Origin

_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "ClaimToHeader": ("header", "claim"),
    "Condition": ("key",),
    "Destination": ("host",),
    "DestinationRule": ("host",),
    "EnvironmentTag": ("name",),
    "ExecHealthCheckConfig": ("command",),
    "FormatterTag": ("value",),
    "HTTPCookie": ("name",),
    "HTTPCookieAttribute": ("name",),
    "HTTPDirectResponse": ("status",),
    "HTTPHealthCheckConfig": ("port",),
    "HTTPMirrorPolicy": ("destination",),
    "HTTPRouteDestination": ("destination",),
    "IstioEgressListener": ("hosts",),
    "IstioIngressListener": ("port",),
    "JWTHeader": ("name",),
    "LiteralTag": ("value",),
    "PolicyTargetReference": ("kind", "name"),
    "Port": ("number", "protocol", "name"),
    "ProviderRef": ("name",),
    "RequestHeaderTag": ("name",),
    "RouteDestination": ("destination",),
    "Server": ("port", "hosts"),
    "ServiceEntry": ("hosts",),
    "ServicePort": ("number", "name"),
    "Subset": ("name",),
    "TCPHealthCheckConfig": ("port",),
    "TLSMatchAttributes": ("sni_hosts",),
    "TLSRoute": ("match",),
    "TunnelSettings": ("target_host", "target_port"),
    "WarmupConfiguration": ("duration",),
    "WorkloadGroup": ("template",),
}


class _Bounds(NamedTuple):
    """Of a number, of the size of a list or mapping, or of the length of a text; both ends are included."""

    least: float
    most: float

    def hold(self, value: float) -> bool:
        """Whether a value lies between the ends."""
        return self.least <= value <= self.most


_NUMBERS: Final[Mapping[str, _Bounds]] = {
    "OutlierDetection.outlier_detection_http_error_codes": _Bounds(100, 599),
    "RetryBudget.percent": _Bounds(0, 100),
    "ServicePort.target_port": _Bounds(1, 65535),
    "WarmupConfiguration.minimum_percent": _Bounds(0, 100),
    "ZoneAwareLoadBalancerSetting.min_cluster_size": _Bounds(1, 2**32 - 1),
}
_SIZES: Final[Mapping[str, _Bounds]] = {
    "AuthorizationPolicy.rules": _Bounds(0, 512),
    "AuthorizationPolicy.targetRefs": _Bounds(0, 16),
    "JWTRule.space_delimited_claims": _Bounds(0, 64),
    "RequestAuthentication.jwt_rules": _Bounds(0, 4096),
    "RequestAuthentication.targetRefs": _Bounds(0, 16),
    "Rule.from_": _Bounds(0, 512),
    "ServerTLSSettings.credential_names": _Bounds(1, 2),
    "ServerTLSSettings.tls_certificates": _Bounds(1, 2),
    "ServiceEntry.addresses": _Bounds(0, 256),
    "ServiceEntry.endpoints": _Bounds(0, 4096),
    "ServiceEntry.hosts": _Bounds(1, 256),
    "ServiceEntry.ports": _Bounds(0, 256),
    "Source.not_service_accounts": _Bounds(0, 16),
    "Source.service_accounts": _Bounds(0, 16),
    "Telemetry.targetRefs": _Bounds(0, 16),
    "TrafficPolicy.port_level_settings": _Bounds(0, 4096),
    "WorkloadEntry.labels": _Bounds(0, 256),
    "WasmPlugin.targetRefs": _Bounds(0, 16),
    "WorkloadEntry.ports": _Bounds(0, 128),
    "WorkloadSelector.labels": _Bounds(0, 256),
    "WorkloadSelector.match_labels": _Bounds(0, 4096),
}
_NOT_EMPTY: Final = _Bounds(1, 2**31)
_LENGTHS: Final[Mapping[str, _Bounds]] = {
    "ClaimToHeader.claim": _NOT_EMPTY,
    "ClaimToHeader.header": _NOT_EMPTY,
    "EnvVar.name": _Bounds(1, 256),
    "EnvVar.value": _Bounds(0, 2048),
    "EnvironmentTag.name": _NOT_EMPTY,
    "FormatterTag.value": _NOT_EMPTY,
    "JWTHeader.name": _NOT_EMPTY,
    "JWTRule.audiences": _NOT_EMPTY,
    "JWTRule.from_cookies": _NOT_EMPTY,
    "JWTRule.from_params": _NOT_EMPTY,
    "JWTRule.issuer": _NOT_EMPTY,
    "JWTRule.jwks_uri": _Bounds(1, 2048),
    "JWTRule.space_delimited_claims": _NOT_EMPTY,
    "LiteralTag.value": _NOT_EMPTY,
    "MetricSelector.custom_metric": _NOT_EMPTY,
    "PolicyTargetReference.group": _Bounds(0, 253),
    "PolicyTargetReference.kind": _Bounds(1, 63),
    "PolicyTargetReference.name": _Bounds(1, 253),
    "ProviderRef.name": _NOT_EMPTY,
    "RequestHeaderTag.name": _NOT_EMPTY,
    "Source.not_service_accounts": _Bounds(0, 320),
    "Source.service_accounts": _Bounds(0, 320),
    "WasmPlugin.image_pull_secret": _Bounds(1, 253),
    "WasmPlugin.plugin_name": _Bounds(1, 256),
    "WasmPlugin.url": _NOT_EMPTY,
    "WorkloadEntry.address": _Bounds(0, 256),
    "WorkloadEntry.locality": _Bounds(0, 2048),
    "WorkloadEntry.network": _Bounds(0, 2048),
    "WorkloadEntry.service_account": _Bounds(0, 253),
    "WorkloadSelector.labels": _Bounds(0, 63),
    "WorkloadSelector.match_labels": _Bounds(0, 63),
}
"""Of a text, or of each in a list or mapping."""
_ONE_OF: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "AuthorizationPolicy": (("selector", "targetRef", "targetRefs"),),
    "JWTRule": (("jwks_uri", "jwks"),),
    "RequestAuthentication": (("selector", "targetRef", "targetRefs"),),
    "ServerTLSSettings": (("credential_name", "credential_names"), ("credential_names", "tls_certificates")),
    "ServiceEntry": (("workload_selector", "endpoints"),),
    "Telemetry": (("selector", "targetRef", "targetRefs"),),
}
_NOT_WHERE: Final[Mapping[str, tuple[str, str, str]]] = {
    "ServiceEntry": ("endpoints", "resolution", "NONE"),
    "TagOverride": ("value", "operation", "REMOVE"),
    "WorkloadEntry": ("ports", "address", "unix://"),
}
"""A field that must not be there, even empty, where another one has this value, or begins with it."""
_ACCOUNTS: Final = ("service_accounts", "not_service_accounts")
_NOT_BESIDE_ACCOUNTS: Final = ("principals", "not_principals", "namespaces", "not_namespaces")
_ZERO_ALLOWED: Final = frozenset({"TCPSettings.idle_timeout", "HTTPCookie.ttl", "RetryBudget.budget_interval"})
"""Durations marked ``duration-validation:none`` in Istio's API (``destination_rule.proto``)."""
_MILLISECOND: Final = timedelta(milliseconds=1)


class _Finding(NamedTuple):
    message: str
    origin: Origin
    at: tuple[str, ...]
    """The field paths at which istiod's own word about it would stand."""


def schema_problems(spec: Message, others: Iterable[Problem]) -> list[Problem]:
    """What the schema refuses and ``others``, the problems found so far, do not speak of."""
    spoken_of = {problem.path for problem in others if problem.severity == "error"}
    return [
        Problem(
            code="SBX0301",
            severity="error",
            message=finding.message,
            span=finding.origin.span,
            path=finding.origin.path,
            resource=finding.origin.resource,
            layer="schema",
        )
        for finding in _findings(spec)
        if not spoken_of.intersection(finding.at)
    ]


def _findings(message: Message) -> Iterator[_Finding]:
    kind = type(message).__name__
    path = message.place.path
    for name in _REQUIRED.get(kind, ()):
        if message.place.value(name) is None:
            key = message.place.key(name)
            yield _Finding(f"{key} is required in {kind}", message.origin, (path, f"{path}.{key}"))
    for group in _ONE_OF.get(kind, ()):
        written = [name for name in group if message.place.value(name) is not None]
        if len(written) > 1:
            keys = [message.place.key(name) for name in written]
            at = (path, *(f"{path}.{key}" for key in keys))
            yield _Finding(f"only one of {' and '.join(keys)} can be set", message.origin_of(written[-1]), at)
    yield from _excluded(message, kind)
    for field in fields(message):
        value = getattr(message, field.name)
        if field.name == "place" or value is None:
            continue
        yield from _field_findings(message, f"{kind}.{field.name}", field.name, value)
        yield from _inside(value)


def _excluded(message: Message, kind: str) -> Iterator[_Finding]:
    """What is written beside something that rules it out; the schema asks whether it is there, not what it says."""
    name, other, start = _NOT_WHERE.get(kind, ("", "", ""))
    if name and message.written(name) and str(getattr(message, other)).startswith(start):
        yield _out_of_place(message, name, f"where {message.place.key(other)} is {getattr(message, other)}")
    if kind == "Source" and any(map(message.written, _ACCOUNTS)):
        for beside in filter(message.written, _NOT_BESIDE_ACCOUNTS):
            yield _out_of_place(message, beside, "beside serviceAccounts")


def _out_of_place(message: Message, name: str, where: str) -> _Finding:
    origin = message.origin_of(name)
    near = (*_ACCOUNTS, name) if name in _NOT_BESIDE_ACCOUNTS else (name,)
    at = (message.place.path, *(message.origin_of(each).path for each in near))
    return _Finding(f"{message.place.key(name)} must not be set {where}", origin, at)


def _inside(value: object) -> Iterator[_Finding]:
    if isinstance(value, Message):
        yield from _findings(value)
    elif isinstance(value, tuple):
        for item in value:
            yield from _inside(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _inside(item)


def _field_findings(message: Message, field: str, name: str, value: object) -> Iterator[_Finding]:
    if not message.written(name):
        return
    fault = _fault(field, value)
    if fault is not None:
        origin = message.origin_of(name)
        yield _Finding(f"{message.place.key(name)} {fault}", origin, (origin.path, message.place.path))


def _fault(field: str, value: object) -> str | None:
    if isinstance(value, timedelta):
        return "must be at least 1ms" if value < _MILLISECOND and field not in _ZERO_ALLOWED else None
    if field in _NUMBERS:
        bounds = _NUMBERS[field]
        numbers = value if isinstance(value, tuple) else (value,)
        outside = [number for number in numbers if not bounds.hold(number)]
        return f"must be {_range(bounds)}, not {outside[0]}" if outside else None
    if field in _SIZES and isinstance(value, tuple | Mapping) and not _SIZES[field].hold(len(value)):
        return f"must have {_range(_SIZES[field])} items"
    if field in _LENGTHS and not all(_LENGTHS[field].hold(len(text)) for text in _texts(value)):
        return f"must have {_range(_LENGTHS[field])} characters"
    return None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | Mapping):
        items = value.values() if isinstance(value, Mapping) else value
        yield from (item for item in items if isinstance(item, str))


def _range(bounds: _Bounds) -> str:
    return f"at least {bounds.least:g}" if bounds.most >= 2**31 else f"{bounds.least:g} to {bounds.most:g}"
