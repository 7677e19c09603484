"""One cluster to be built: a port of a service, perhaps a subset; its name, its reasons, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.compiler.destination_rules import ConsolidatedRule
from sandbox.compiler.names import outbound_cluster, outbound_sni
from sandbox.compiler.provenance import written
from sandbox.compiler.services import Service, ServicePort
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.destination_rule import Subset
from sandbox.istio.traffic_policy import TrafficPolicy
from sandbox.plan.because import Because
from sandbox.yaml_source.problems import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCut:
    """A port of a service, perhaps a subset."""

    service: Service
    port: ServicePort
    rule: ConsolidatedRule | None
    subset: Subset | None = None
    sni_dnat: bool = False
    """A cluster that an AUTO_PASSTHROUGH gateway chooses by server name."""

    @property
    def subset_name(self) -> str:
        """Empty without a subset."""
        return self.subset.name if self.subset is not None else ""

    @property
    def name(self) -> str:
        """istiod's name of the cluster."""
        spell = outbound_sni if self.sni_dnat else outbound_cluster
        return spell(self.service.host, self.port.number, self.subset_name)


def service_reasons(cut: ClusterCut) -> Iterator[Because]:
    """Subset, port, and what made the service of its type."""
    if cut.subset is not None:
        yield written("subset", cut.subset, "name")
    if cut.port.origin is not None:
        yield Because("port", cut.port.origin)
    yield from cut.service.because


def policy_reasons(policy: TrafficPolicy) -> Iterator[Because]:
    """The blocks of the traffic policy that was applied."""
    blocks = (
        ("load balancer", policy.load_balancer),
        ("connection pool", policy.connection_pool),
        ("outlier detection", policy.outlier_detection),
        ("PROXY protocol", policy.proxy_protocol),
        ("retry budget", policy.retry_budget),
    )
    for what, block in blocks:
        if block is not None and block.place:
            yield Because(what, block.origin)


def report_no_endpoints(cut: ClusterCut, problems: Problems) -> None:
    """A cluster resolved by name that has nothing to resolve is not made."""
    where = cut.subset.origin if cut.subset is not None else cut.port.origin
    what = f"subset {cut.subset_name} of {cut.service.host}" if cut.subset is not None else cut.service.host
    problems.report(
        "SBX0401",
        f"{what} has no endpoints on port {cut.port.number}, so there is no cluster: requests get 503 (NC)",
        where,
        severity="warning",
    )


def report_dynamic_outlier_detection(cut: ClusterCut, policy: TrafficPolicy, problems: Problems) -> None:
    """Clusters without common load balancing settings cannot have a panic threshold."""
    assert policy.outlier_detection is not None
    problems.report(
        "SBX0403",
        f"outlierDetection for {cut.service.host} crashes istiod, for the host is DYNAMIC_DNS; ignored",
        policy.outlier_detection.origin,
        severity="warning",
    )


def report_crash(cut: ClusterCut, problems: Problems) -> None:
    """istiod splits only the first locality of names to be resolved, with the endpoints of all."""
    problems.report(
        "SBX0402",
        f"failover priorities with endpoints of {cut.service.host} in several localities crash istiod",
        cut.rule.rule.spec.origin if cut.rule is not None else cut.service.origin,
        severity="warning",
    )
