"""Snapshots of the nodes in this process: a plan with what only its workload may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.plan.acceptance import in_force
from sandbox.proxy.name_table import table_lookup
from sandbox.proxy.snapshot import Snapshot, Surroundings

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.istio.load import Configuration
    from sandbox.loading import Loaded
    from sandbox.plan import NodePlan
    from sandbox.workloads.identities import WorkloadIdentities


class SnapshotBuilder:
    """Makes them, from what all nodes of a run share and the identity that each has."""

    def __init__(self, surroundings: Surroundings, identities: WorkloadIdentities) -> None:
        self.surroundings = surroundings
        self.identities = identities

    def of(self, loaded: Loaded) -> Snapshot:
        """Of a workload's plan, without what Envoy would not take."""
        return self.build(in_force(loaded.plan), loaded.configuration, loaded.proxy)

    def build(
        self, plan: NodePlan, configuration: Configuration, proxy: Proxy, previous: Snapshot | None = None
    ) -> Snapshot:
        """Of a plan as it is; clusters of ``previous`` that are planned as they were go on."""
        secrets = self.identities.secrets_of(configuration, proxy)
        return Snapshot(plan, self.surroundings.with_secrets(secrets, proxy.ip_addresses[0]), previous)


def table_lookup_of(loaded: Loaded) -> Callable[[str], str | None]:
    """From a name to the address that the workload would get from its own table, or ``None`` where DNS decides."""
    return table_lookup(
        loaded.plan.name_table,
        namespace=loaded.proxy.namespace,
        domain=loaded.proxy.dns_domain,
        captures_dns=loaded.proxy.metadata.dns_capture,
    )
