"""Relations between host names, and how short names become long ones (Istio pkg/config/host/name.go; semantics 4.12, 6.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from sandbox.compiler.names import MESH_GATEWAY
from sandbox.compiler.proxy import is_ip_address

ValueT = TypeVar("ValueT")


def is_wildcard(host: str) -> bool:
    """Whether the host is a pattern; the comparison is a plain suffix after the ``*``."""
    return host.startswith("*")


def subset_of(host: str, pattern: str) -> bool:
    """Whether every name that ``host`` names is named by ``pattern``."""
    if not pattern.startswith("*"):
        return host == pattern
    if host.startswith("*"):
        return len(host) >= len(pattern) and host[1:].endswith(pattern[1:])
    return host.endswith(pattern[1:])


def matches(host: str, other: str) -> bool:
    """Whether one of the two covers the other."""
    return subset_of(host, other) or subset_of(other, host)


def more_specific(host: str, other: str) -> bool:
    """Whether ``host`` comes before ``other`` when the most specific wins: names, then longer patterns, then A to Z."""
    wild, other_wild = is_wildcard(host), is_wildcard(other)
    if wild != other_wild:
        return other_wild
    return len(host) > len(other) if len(host) != len(other) else host < other


def most_specific_match(
    host: str, exact: Mapping[str, ValueT], patterns: Mapping[str, ValueT]
) -> tuple[str, ValueT] | None:
    """The entry that names ``host`` most closely, with its key (Istio's ``MostSpecificHostMatch``)."""
    known = patterns if is_wildcard(host) else exact
    if host in known:
        return host, known[host]
    rest = host.removeprefix("*")
    for start in range(len(rest) + 1):
        pattern = "*" + rest[start:]
        if pattern in patterns:
            return pattern, patterns[pattern]
    return None


def resolve_short_name(host: str, namespace: str, domain: str) -> str:
    """``reviews`` is ``reviews.<namespace>.svc.<domain>``; whatever has a dot, is an address or ``*`` stays."""
    if not host or host == "*" or "." in host or is_ip_address(host):
        return host
    qualified = f"{host}.{namespace}" if namespace else host
    return f"{qualified}.svc.{domain}" if domain else qualified


def resolve_gateway_name(gateway: str, namespace: str) -> str:
    """``namespace/name`` of a gateway that a VirtualService names; ``mesh`` stays."""
    if gateway == MESH_GATEWAY:
        return gateway
    before, slash, after = gateway.partition("/")
    if slash:
        return f"{namespace}/{after}" if before == "." else gateway
    if "." not in gateway:
        return f"{namespace}/{gateway}"
    name, _, rest = gateway.partition(".")
    return f"{rest.partition('.')[0]}/{name}"
