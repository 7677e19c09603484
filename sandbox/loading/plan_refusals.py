"""What Envoy would not take of a plan, and what it would not find in its pod, as problems."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.loading.secrets import secrets_of
from sandbox.plan.because import origin_of

if TYPE_CHECKING:
    from sandbox.compiler.push_context import PushContext
    from sandbox.istio.load import Configuration
    from sandbox.plan import NodePlan
    from sandbox.plan.because import Because


def report_refusals(plan: NodePlan, push: PushContext) -> None:
    """Reports what Envoy would not take of the plan, where a running mesh would keep the old resource."""
    from sandbox.access_log.refusals import refused_access_logs, refused_header_values
    from sandbox.loading.mounted_files import report_unreadable_annotations
    from sandbox.match.refusals import refused_patterns
    from sandbox.metrics.label_rules import refused_expressions
    from sandbox.plan.acceptance import refusals
    from sandbox.proxy.secret_check import SecretCheck

    problems = push.problems
    for refusal in refusals(plan):
        problems.report("SBX0553", str(refusal), origin_of(refusal.because))
    for log, words in refused_access_logs(plan.listeners):
        problems.report("SBX0551", f"Envoy refuses the access log: {' '.join(words.split())}", origin_of(log.because))
    for route, header, words in refused_header_values(plan.route_configurations.values()):
        problems.report("SBX0554", f"Envoy refuses the value of the header {header}: {words}", origin_of(route.because))
    for metric, label, words in refused_expressions(plan.stats):
        message = f"the label {label} of a metric is left out, for its expression is none: {' '.join(words.split())}"
        problems.report("SBX0533", message, origin_of(metric.because))
    for route, pattern, words in refused_patterns(plan.route_configurations.values()):
        problems.report("SBX0552", f"RE2 refuses the regular expression {pattern!r}: {words}", origin_of(route.because))
    for unusable in SecretCheck(secrets_of(push.configuration), plan.workload.partition("/")[0]).unusable(plan):
        problems.report("SBX0555", str(unusable), origin_of(unusable.because))
    report_unreadable_annotations(push.configuration, plan.workload, problems)
    for because, paths in _missing_files(plan, push.configuration).items():
        which = f"{', '.join(paths)}: connections that need {'them' if len(paths) > 1 else 'it'} fail"
        problems.report(
            "SBX0556",
            f"the pod {plan.workload} does not mount, and this machine does not have {which}",
            origin_of(because),
        )


def tls_fault(plan: NodePlan, configuration: Configuration, name: str) -> str | None:
    """Why no connection of a cluster comes about: the Secret or the file that is not there."""
    from sandbox.proxy.secret_check import SecretCheck

    cluster = plan.clusters.get(name)
    if cluster is None:
        return None
    check = SecretCheck(secrets_of(configuration), plan.workload.partition("/")[0])
    missing = _missing_files(dataclasses.replace(plan, clusters={name: cluster}, listeners=()), configuration)
    paths = [path for each in missing.values() for path in each]
    return check.fault_of(cluster) or (f"there is no file {paths[0]}" if paths else None)


def _missing_files(plan: NodePlan, configuration: Configuration) -> Mapping[Sequence[Because], list[str]]:
    """Files for TLS that the proxy would not find in its pod, by what names them."""
    from sandbox.compiler import find_proxy
    from sandbox.loading.mounted_files import AGENT_FILES, OUTPUT_CERTIFICATES, mounted_files
    from sandbox.proxy.file_check import files_for_tls

    wanted = dict(reversed(list(files_for_tls(plan))))
    if not wanted:
        return {}
    proxy = find_proxy(configuration, plan.workload)
    settings = proxy.metadata.proxy_config if proxy is not None else configuration.mesh.default_config
    directory = settings.proxy_metadata.get(OUTPUT_CERTIFICATES, "").rstrip("/") if settings is not None else ""
    known = {*mounted_files(configuration, secrets_of(configuration), plan.workload)}
    known |= {f"{directory}/{name}" for name in AGENT_FILES if directory}
    missing: dict[Sequence[Because], list[str]] = {}
    for path, because in reversed(wanted.items()):
        if path not in known and not Path(path).is_file():
            missing.setdefault(because, []).append(path)
    return missing
