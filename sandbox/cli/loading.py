"""What the commands that only look at a configuration do with it: read, decode, compile, without binding anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from sandbox.loading import proxy_of, read_configuration, refusals_of_istiod, report_refusals
from sandbox.settings import Settings

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.istio.load import Configuration
    from sandbox.plan import NodePlan
    from sandbox.yaml_source.problems import Problems

UNKNOWN_WORKLOAD = "SBX0702"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A configuration, the proxy it was compiled for, the plan, and all findings."""

    configuration: Configuration
    proxy: Proxy
    plan: NodePlan
    problems: Problems
    push: PushContext


def compile_for(settings: Settings) -> Compiled:
    """The plan for the workload of ``settings``; what cannot be decoded is left out.

    How many errors there are is told on standard error, those included for which istiod would refuse an object.
    """
    # Imported here: --help needs no compiler.
    from sandbox.compiler import compile_node
    from sandbox.compiler.push_context import PushContext

    configuration = read_configuration(settings)
    push = PushContext(configuration)
    proxy = proxy_of(configuration, settings)
    plan = compile_node(push, proxy)
    report_refusals(plan, push.problems)
    refused = refusals_of_istiod(configuration, None)
    errors = len({*configuration.problems.errors, *push.problems.errors, *refused})
    if errors:
        count = f"{errors} error{'s' * (errors != 1)}"
        click.echo(f"egress: {count} in the configuration, egress run would not start: see egress validate", err=True)
    for problem in configuration.problems:
        if problem.code == UNKNOWN_WORKLOAD:
            click.echo(f"egress: {problem.message}", err=True)
    return Compiled(configuration, proxy, plan, push.problems, push)


def tell_of_stand_ins(settings: Settings, configuration: Configuration) -> None:
    """On standard error, where ``egress run`` would have gateways that this look at the files has not."""
    from sandbox.stand_in_gateways import stand_ins

    if settings.with_gateways or settings.node_type != "sidecar":
        return
    for sentence in stand_ins(configuration)[1]:
        click.echo(f"egress: {sentence} in egress run and egress explain; look at it with --node all", err=True)
