"""What the commands that only look at a configuration do with it: read, decode, compile, without binding anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from sandbox.cli import exit_codes
from sandbox.loading import read_configuration
from sandbox.loading.admission import without_refused
from sandbox.loading.own_workload import UNKNOWN_WORKLOAD, own_proxy
from sandbox.loading.plan_refusals import report_refusals
from sandbox.settings import Settings

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.istio.load import Configuration
    from sandbox.plan import NodePlan
    from sandbox.yaml_source.problems import Problem, Problems


@dataclass(frozen=True, slots=True)
class Written:
    """All that the files say, and why istiod or the API server would not have some of it."""

    configuration: Configuration
    refused: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A configuration, the proxy it was compiled for, the plan, and all findings."""

    configuration: Configuration
    proxy: Proxy
    plan: NodePlan
    problems: Problems
    push: PushContext
    written: Written
    errors: int = 0
    """In the whole configuration: ``egress run`` would not start."""

    @property
    def exit_status(self) -> int:
        """For a command that has shown the plan: with errors it is that of ``egress run``."""
        return exit_codes.DATA if self.errors else 0


def compile_for(settings: Settings) -> Compiled:
    """The plan for the workload of ``settings``, as a cluster would have it.

    What cannot be decoded, and what istiod would refuse, is left out; how many errors there are is told on standard
    error.
    """
    # Imported here: --help needs no compiler.
    from sandbox.compiler import compile_node
    from sandbox.compiler.push_context import PushContext

    written = read_configuration(settings)
    configuration, refused = without_refused(written)
    push = PushContext(configuration)
    proxy = own_proxy(configuration, settings)
    plan = compile_node(push, proxy)
    report_refusals(plan, push)
    errors = len({*configuration.problems.errors, *push.problems.errors, *refused})
    if errors:
        count = f"{errors} error{'s' * (errors != 1)}"
        click.echo(f"egress: {count} in the configuration, egress run would not start: see egress validate", err=True)
    for problem in configuration.problems:
        if problem.code == UNKNOWN_WORKLOAD:
            click.echo(f"egress: {problem.message}", err=True)
    return Compiled(configuration, proxy, plan, push.problems, push, Written(written, refused), errors)


def compile_nodes(settings: Settings) -> list[Compiled]:
    """The node of ``settings``; with its gateways after it, or every gateway where none is named."""
    from sandbox.loading.gateway_plans import GatewayPlans

    own = compile_for(settings)
    is_gateway = settings.node_type == "router"
    if not settings.with_gateways and not (is_gateway and settings.workload is None):
        return [own]
    plans = GatewayPlans(own.configuration, own.push)
    gateways = [replace(own, proxy=proxy, plan=plans.compiled(proxy)) for proxy in plans.proxies]
    return (gateways or [own]) if is_gateway else [own, *gateways]


def tell_of_stand_ins(settings: Settings, configuration: Configuration) -> None:
    """On standard error, where ``egress run`` would have gateways that this look at the files has not."""
    from sandbox.loading.stand_in_gateways import stand_ins

    if settings.with_gateways or settings.node_type != "sidecar":
        return
    for sentence in stand_ins(configuration)[1]:
        click.echo(f"egress: {sentence} in egress run and egress explain; look at it with --node all", err=True)
