"""Trust domain aliases in principals (Istio pilot/pkg/security/trustdomain)."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.frozen_dataclass import dataclass

LOCAL_POINTER = "cluster.local"
"""Stands for the mesh's own trust domain, whatever it is called."""

_SPIFFE_PARTS = 5


@dataclass(frozen=True, slots=True)
class TrustDomains:
    """The mesh's trust domain followed by its aliases."""

    names: tuple[str, ...]

    def migrate(self, key: str, values: tuple[str, ...]) -> tuple[str, ...]:
        """The values of an attribute with the aliases written out; most attributes stay as they are."""
        if key == "source.principal":
            return tuple(migrated for value in values for migrated in self._principals(value))
        if key == "source.trustDomain":
            return _unique(name for value in values for name in (self.names if value in self.names else (value,)))
        return values

    def _principals(self, principal: str) -> tuple[str, ...]:
        parts = principal.split("/")
        if len(parts) != _SPIFFE_PARTS or parts[0] == "*":
            return (principal,)
        domain = parts[0]
        if domain != LOCAL_POINTER and not any(_covers(name, domain) or _covers(domain, name) for name in self.names):
            return (principal,)
        identity = "/".join(parts[1:])
        return _unique(principal if _ends_alike(name, domain) else f"{name}/{identity}" for name in self.names)


def _covers(name: str, pattern: str) -> bool:
    """Whether the trust domain is what the pattern says: exact, ``*``, ``*suffix`` or ``prefix*``."""
    return (
        name == pattern
        or pattern == "*"
        or (pattern.endswith("*") and name.startswith(pattern.removesuffix("*")))
        or _ends_alike(name, pattern)
    )


def _ends_alike(name: str, pattern: str) -> bool:
    return pattern.startswith("*") and name.endswith(pattern.removeprefix("*"))


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
