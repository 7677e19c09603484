"""What the cluster's own DNS server knows, seen from one workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from sandbox.frozen_dataclass import dataclass
from sandbox.match.name_lookup import NameLookup


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNames:
    """Services with addresses, and names that stand for others."""

    services: NameLookup
    external: Mapping[str, str] = field(default_factory=dict)
    """Names of ExternalName Services, and the names behind them; lower case, without the last dot."""
    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Addresses of names behind that are known without asking anybody."""
