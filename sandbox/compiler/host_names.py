"""Relations of host names: what covers what, what is more specific, what a short name stands for.

Source: Istio pkg/config/host, pilot/pkg/model/config.go; comparison is case-sensitive, as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Generic, TypeVar

from sandbox.compiler.proxy import is_ip_address

ValueT = TypeVar("ValueT")

CLUSTER_DOMAIN = "cluster.local"
"""The domain of Kubernetes services; istiod's ``DomainSuffix``."""


def is_wildcard(host: str) -> bool:
    """Whether a host is a pattern (``*``, ``*.example.com``, ``*example.com``)."""
    return host[:1] == "*"


def subset_of(host: str, other: str) -> bool:
    """Whether all names that ``host`` stands for are names of ``other``, too."""
    if not is_wildcard(other):
        return host == other
    if is_wildcard(host):
        return len(host) >= len(other) and host[1:].endswith(other[1:])
    return host.endswith(other[1:])


def matches(host: str, other: str) -> bool:
    """Whether one of the two covers the other."""
    return subset_of(host, other) or subset_of(other, host)


def specificity(host: str) -> tuple[bool, int, str]:
    """The sort key of Istio's ``MoreSpecific``: patterns last, the longest first, then the alphabet."""
    return is_wildcard(host), -len(host), host


def intersection(hosts: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Of every pair that can be compared the narrower, without repetitions."""
    found: dict[str, None] = {}
    for host in hosts:
        for other in others:
            if subset_of(host, other):
                found.setdefault(host)
            elif subset_of(other, host):
                found.setdefault(other)
    return tuple(found)


def names_for_namespace(hosts: Iterable[str], namespace: str) -> tuple[str, ...]:
    """Of ``ns/host`` and ``host`` those that a namespace may use, without the qualification."""
    found = []
    for text in hosts:
        qualifier, slash, host = text.rpartition("/")
        if not slash or qualifier in ("*", namespace):
            found.append(host)
    return tuple(found)


@lru_cache(maxsize=65536)
def resolve_host(host: str, namespace: str, domain: str = CLUSTER_DOMAIN) -> str:
    """The full name of a host in a resource of ``namespace``: names without a dot are Kubernetes services."""
    if not host or host == "*" or "." in host or is_ip_address(host):
        return host
    qualified = f"{host}.{namespace}" if namespace else host
    return f"{qualified}.svc.{domain}" if domain else qualified


def resolve_gateway(name: str, namespace: str) -> str:
    """``namespace/name`` of a gateway as a VirtualService names it; ``mesh`` stays."""
    if name == "mesh":
        return name
    if "/" in name:
        before, _, after = name.partition("/")
        return f"{namespace}/{after}" if before == "." else name
    if "." not in name:
        return f"{namespace}/{name}"
    short, _, rest = name.partition(".")
    return f"{rest.partition('.')[0]}/{short}"


class HostIndex(Generic[ValueT]):
    """Values by host; finds the most specific host that covers a name without walking over all patterns."""

    __slots__ = ("_longest", "_patterns", "_specific")

    def __init__(self) -> None:
        self._specific: dict[str, ValueT] = {}
        self._patterns: dict[str, ValueT] = {}
        self._longest = 0

    def __len__(self) -> int:
        return len(self._specific) + len(self._patterns)

    def get(self, host: str) -> ValueT | None:
        """The value of exactly this host or pattern."""
        return self._patterns.get(host[1:]) if is_wildcard(host) else self._specific.get(host)

    def set(self, host: str, value: ValueT) -> None:
        """Store the value of a host or pattern."""
        if is_wildcard(host):
            self._patterns[host[1:]] = value
            self._longest = max(self._longest, len(host) - 1)
        else:
            self._specific[host] = value

    def most_specific(self, needle: str) -> ValueT | None:
        """The value of the most specific host that covers ``needle`` (Istio's ``MostSpecificHostMatch``)."""
        found = self.most_specific_entry(needle)
        return None if found is None else found[1]

    def most_specific_entry(self, needle: str) -> tuple[str, ValueT] | None:
        """Like ``most_specific``, with the host that was found."""
        if is_wildcard(needle):
            needle = needle[1:]
        elif needle in self._specific:
            return needle, self._specific[needle]
        if not self._patterns:
            return None
        for start in range(max(0, len(needle) - self._longest), len(needle) + 1):
            suffix = needle[start:]
            if suffix in self._patterns:
                return f"*{suffix}", self._patterns[suffix]
        return None
