"""SPIFFE identities of workloads (Istio pkg/spiffe)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy

_PREFIX = "spiffe://"


def spiffe_uri(trust_domain: str, namespace: str, service_account: str) -> str:
    """``spiffe://cluster.local/ns/default/sa/sleep``."""
    return f"{_PREFIX}{trust_domain.replace('@', '.')}/ns/{namespace}/sa/{service_account}"


def identity_of(proxy: Proxy, trust_domain: str) -> str:
    """Of a workload's service account; ``trust_domain`` is the mesh's, or empty where it says none."""
    return spiffe_uri(trust_domain or "cluster.local", proxy.namespace, proxy.service_account or "default")


def with_trust_domain_aliases(identities: Iterable[str], aliases: Iterable[str]) -> tuple[str, ...]:
    """The identities, sorted, each in all trust domains of the mesh as well; other names stay single."""
    aliases = tuple(aliases)
    found = set(identities)
    for identity in tuple(found) if aliases else ():
        parts = identity.removeprefix(_PREFIX).split("/")
        if identity.startswith(_PREFIX) and len(parts) == 5 and parts[1] == "ns" and parts[3] == "sa":
            found.update(f"{_PREFIX}{alias}/ns/{parts[2]}/sa/{parts[4]}" for alias in aliases)
    return tuple(sorted(found))
