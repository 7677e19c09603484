"""What ``istioctl analyze`` says of a configuration as a whole: references, conflicts, reachability."""

from __future__ import annotations

from datetime import datetime

from sandbox.analysis.destinations import analyze_destinations
from sandbox.analysis.gateways import analyze_gateways
from sandbox.analysis.mesh_index import build_index
from sandbox.analysis.policies import analyze_authorization_policies, analyze_deprecations, analyze_telemetries
from sandbox.analysis.services import analyze_destination_rules, analyze_service_entries, analyze_services
from sandbox.analysis.sidecars import analyze_sidecars
from sandbox.analysis.unreachable_rules import analyze_unreachable_rules
from sandbox.analysis.virtual_services import analyze_virtual_services
from sandbox.istio.load import Configuration
from sandbox.yaml_source.problems import Problems

ANALYZERS = (
    analyze_destinations,
    analyze_virtual_services,
    analyze_unreachable_rules,
    analyze_destination_rules,
    analyze_service_entries,
    analyze_services,
    analyze_gateways,
    analyze_sidecars,
    analyze_telemetries,
    analyze_authorization_policies,
    analyze_deprecations,
)


def analyze(configuration: Configuration, now: datetime | None = None) -> Problems:
    """All findings, with istioctl's codes; certificates' dates are checked where the present is given."""
    problems = Problems()
    index = build_index(configuration, now)
    for analyzer in ANALYZERS:
        analyzer(index, problems)
    return problems
