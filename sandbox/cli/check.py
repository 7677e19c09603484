"""``egress check``: the configuration as a whole, as ``istioctl analyze`` looks at it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from sandbox.cli import exit_codes
from sandbox.cli.options import settings_for, wants_gateways, workload_options

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.istio.load import Configuration
    from sandbox.loading.gateway_plans import GatewayPlans
    from sandbox.plan import NodePlan
    from sandbox.settings import Settings
    from sandbox.yaml_source.problems import Problem, Problems

MOST_SECONDS = 10.0
"""After that no further workload is compiled for: most findings are the same for all."""
HASH_LABELS = ("pod-template-hash", "controller-revision-hash", "statefulset.kubernetes.io/pod-name")
"""Labels by which the replicas of one workload differ."""
LEVELS = click.Choice(("error", "warning", "info"), case_sensitive=False)


@click.command(
    epilog="""\b
Examples:
  egress check -f my-mesh/
  egress check -f my-mesh/ --failure-threshold warning     # for continuous integration
  helm template ./chart | egress check -f - -o github
"""
)
@workload_options
@click.option("-o", "--output", type=click.Choice(("text", "log", "json", "yaml", "github")), default="text")
@click.option(
    "--failure-threshold", type=LEVELS, default="error", show_default=True, help="From here on the exit is 79."
)
@click.option("--output-threshold", type=LEVELS, default="info", show_default=True, help="From here on it is shown.")
@click.option("-S", "--suppress", multiple=True, metavar="CODE", help="Leave out a code, as IST0103. Repeatable.")
@click.option(
    "--list-codes",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda c, p, v: _list_codes(c, v),
    help="Print every code with its meaning, and end.",
)
def check(output: str, failure_threshold: str, output_threshold: str, suppress: tuple[str, ...], **options: Any) -> int:
    """Check objects together: names that do not exist, rules that are never reached, ports that collide.

    Includes what validate finds, and what compiling finds, for every workload and gateway that the files name unless
    --workload or --node says for whom. The exit status is 79 when there are findings from --failure-threshold on.
    """
    settings = settings_for(with_gateways=wants_gateways(options["node_type"]), **options)
    # Imported here: --help needs no analysis.
    from sandbox.cli.problem_report import SEVERITIES, print_problems, summary

    found = [problem for problem in _findings(settings) if problem.code not in suppress]
    shown = [one for one in found if SEVERITIES.index(one.severity) <= SEVERITIES.index(output_threshold)]
    if output == "text":
        print_problems(shown)
    else:
        _print(shown, output)
    told = summary(shown)
    click.echo(f"egress: {told}" if told else "egress: no problems found", err=True)
    fatal = any(SEVERITIES.index(one.severity) <= SEVERITIES.index(failure_threshold) for one in found)
    return exit_codes.FINDINGS if fatal else 0


def _list_codes(context: click.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from sandbox.cli.problem_codes import markdown_table

        click.echo(markdown_table())
        context.exit()


def _findings(settings: Settings) -> Sequence[Problem]:
    """Everything there is to say, each thing once."""
    from sandbox.analysis import analyze
    from sandbox.analysis.missing_endpoints import report_missing_endpoints
    from sandbox.analysis.without_effect import report_without_effect
    from sandbox.cli.loading import tell_of_stand_ins
    from sandbox.compiler.push_context import PushContext
    from sandbox.istio.validate import validate_configuration
    from sandbox.loading import read_configuration

    configuration = read_configuration(settings)
    tell_of_stand_ins(settings, configuration)
    analyzed = list(analyze(configuration))
    known = {(problem.code, problem.span) for problem in analyzed}
    validated = [
        problem
        for verdict in validate_configuration(configuration)
        for problem in verdict.problems
        if (problem.code, problem.span) not in known
    ]
    push = PushContext(configuration)
    _compile_all(settings, configuration, push)
    report_missing_endpoints(configuration, push, push.problems)
    report_without_effect(configuration, push, push.problems)
    return list(dict.fromkeys([*configuration.problems, *validated, *push.problems, *analyzed]))


def _compile_all(settings: Settings, configuration: Configuration, push: PushContext) -> None:
    """What compiling for each node finds is in the problems of ``push``."""
    from sandbox.compiler import compile_node
    from sandbox.loading.gateway_plans import GatewayPlans
    from sandbox.loading.own_workload import own_proxy
    from sandbox.loading.plan_refusals import report_refusals

    plans = GatewayPlans(configuration, push)
    own = own_proxy(configuration, settings)
    sidecars = [] if settings.node_type == "router" else [own]
    gateways = [] if settings.node_type == "router" or not settings.with_gateways else plans.proxies
    if settings.node_type == "router":
        gateways = [own] if settings.workload is not None else plans.proxies or [own]
    elif settings.with_gateways and settings.workload is None:
        sidecars += _others(configuration, own)
    began = time.monotonic()
    for done, proxy in enumerate(sidecars):
        if time.monotonic() - began > MOST_SECONDS:
            _tell_of_the_rest(done, len(sidecars))
            break
        report_refusals(compile_node(push, proxy), push)
    for proxy in gateways:
        report_refusals(plans.compiled(proxy), push)
        _report_loops(plans, proxy, push.problems)
        _report_dead_ends(plans.plan(proxy), configuration, push.problems)


def _others(configuration: Configuration, own: Proxy) -> list[Proxy]:
    """Sidecars of the workloads that the files describe, one of those that are alike."""
    from sandbox.compiler import find_proxy
    from sandbox.loading.own_workload import described_workloads

    found: dict[tuple[object, ...], Proxy] = {_likeness(own): own}
    for workload in described_workloads(configuration):
        proxy = find_proxy(configuration, workload)
        if proxy is not None:
            found.setdefault(_likeness(proxy), proxy)
    return list(found.values())[1:]


def _tell_of_the_rest(done: int, total: int) -> None:
    click.echo(f"egress: compiled for {done} of {total} workloads; --workload names one", err=True)


def _likeness(proxy: Proxy) -> tuple[object, ...]:
    """What istiod may look at: two of the same get the same plan."""
    labels = {key: value for key, value in proxy.labels.items() if key not in HASH_LABELS}
    said = (labels, proxy.metadata.raw, proxy.metadata.annotations)
    return (proxy.namespace, proxy.service_account, *(tuple(sorted(each.items())) for each in said))


def _report_loops(plans: GatewayPlans, proxy: Proxy, problems: Problems) -> None:
    from sandbox.plan.because import origin_of

    hint = "give the rule that leads to the gateway match.gateways: [mesh], and the gateway a rule that leads on"
    for loop in plans.loops(proxy, by_name=True):
        problems.report("SBX0705", str(loop), origin_of(loop.because), hint=hint)


def _report_dead_ends(plan: NodePlan, configuration: Configuration, problems: Problems) -> None:
    from sandbox.explain.dead_ends import find_dead_ends
    from sandbox.plan.because import origin_of

    entries = [each.spec for each in configuration.resources("ServiceEntry") if each.spec.resolution == "NONE"]
    unresolved = {host for spec in entries for host in spec.hosts}
    hint = (
        "give the ServiceEntry resolution DNS (DYNAMIC_DNS for a wildcard), or lead the gateway to a host that has it"
    )
    for dead_end in find_dead_ends(plan, unresolved):
        problems.report("SBX0706", str(dead_end), origin_of(dead_end.because), hint=hint)


def _print(problems: Sequence[Problem], output: str) -> None:
    from sandbox.cli.problem_report import as_records, github_annotation

    match output:
        case "log":
            lines = [_log_line(problem) for problem in problems]
        case "github":
            lines = [github_annotation(problem) for problem in problems]
        case "json":
            lines = [json.dumps(as_records(problems), indent=1)]
        case _:
            import yaml

            lines = [yaml.safe_dump(as_records(problems), sort_keys=False, allow_unicode=True).rstrip("\n")]
    for line in lines:
        click.echo(line)


def _log_line(problem: Problem) -> str:
    """istioctl's form: ``Warning [IST0103] (Pod name.namespace file:line) text``."""
    resource, span = problem.resource, problem.span
    named = f"{resource.kind} {resource.name}.{resource.namespace}".rstrip(".") if resource and resource.kind else ""
    place = " ".join(part for part in (named, str(span) if span else "") if part)
    return f"{problem.severity.capitalize()} [{problem.code}]{f' ({place})' if place else ''} {problem.message}"
