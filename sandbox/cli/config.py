"""``egress config``: what istiod would send to the proxy, whole or as istioctl's tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from sandbox.cli.config_capture import capture
from sandbox.cli.options import settings_for, workload_options

if TYPE_CHECKING:
    from sandbox.plan import NodePlan

output_option = click.option(
    "-o", "--output", type=click.Choice(("short", "json", "yaml")), default="short", show_default=True
)


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  egress config {line}" for line in lines)


@click.group(
    epilog="""\b
Examples:
  egress config routes -f my-mesh/ --workload shop/frontend
  egress config dump -f my-mesh/ --workload shop/frontend > dump.json
  istioctl proxy-config listeners -f dump.json
  egress config capture 10.1.2.3:443 -f my-mesh/ --workload shop/frontend
"""
)
def config() -> None:
    """Show what istiod would send to a workload's proxy."""


@config.command(
    short_help="Print an Envoy config dump.",
    epilog=_examples(
        "dump -f my-mesh/ --workload shop/frontend > dump.json",
        "dump -f my-mesh/ --node gateway --workload istio-system/istio-egressgateway",
    ),
)
@workload_options
def dump(**options: Any) -> None:
    """Print an Envoy config dump, as localhost:15000/config_dump?include_eds would (istioctl reads it)."""
    plan = _plan(options)
    # Imported here, as in all subcommands: --help needs neither compiler nor codec.
    from sandbox.envoy_config.config_dump import config_dump

    click.echo(json.dumps(config_dump(plan), indent=1))


@config.command(epilog=_examples("listeners -f my-mesh/ --workload shop/frontend"))
@workload_options
@output_option
def listeners(output: str, **options: Any) -> None:
    """Print the listeners and their filter chains."""
    _print(_plan(options), "listeners", output)


@config.command(
    epilog=_examples(
        "routes -f my-mesh/ --workload shop/frontend", "routes -f my-mesh/ --workload shop/frontend -o json"
    )
)
@workload_options
@output_option
def routes(output: str, **options: Any) -> None:
    """Print the route configurations, virtual hosts and routes."""
    _print(_plan(options), "routes", output)


@config.command(
    epilog=_examples("clusters -f my-mesh/ --workload shop/frontend", 'clusters -f my-mesh/ -o json | jq ".[].name"')
)
@workload_options
@output_option
def clusters(output: str, **options: Any) -> None:
    """Print the clusters."""
    _print(_plan(options), "clusters", output)


@config.command(epilog=_examples("endpoints -f my-mesh/ --workload shop/frontend"))
@workload_options
@output_option
def endpoints(output: str, **options: Any) -> None:
    """Print the endpoints of all clusters."""
    _print(_plan(options), "endpoints", output)


@config.command(
    short_help="Print the names that the DNS proxy answers.",
    epilog=_examples("names -f my-mesh/ --workload shop/frontend"),
)
@workload_options
def names(**options: Any) -> None:
    """Print the names that the DNS proxy answers, with their addresses, as JSON."""
    plan = _plan(options)
    from sandbox.cli import plan_tables

    click.echo(json.dumps(plan_tables.names(plan), indent=1))


config.add_command(capture)


def _plan(options: dict[str, Any]) -> NodePlan:
    settings = settings_for(**options)
    from sandbox.cli.loading import compile_for, tell_of_stand_ins

    compiled = compile_for(settings)
    tell_of_stand_ins(settings, compiled.configuration)
    return compiled.plan


def _print(plan: NodePlan, what: str, output: str) -> None:
    from sandbox.cli import plan_tables

    if output == "short":
        click.echo(getattr(plan_tables, what)(plan))
        return
    text = json.dumps(_encoded(plan, what), indent=4)
    if output == "yaml":
        import yaml

        text = yaml.safe_dump(json.loads(text), sort_keys=False).rstrip("\n")
    click.echo(text)


def _encoded(plan: NodePlan, what: str) -> list[Any]:
    from sandbox.envoy_config.codec import encode

    match what:
        case "listeners":
            return [encode(listener) for listener in plan.listeners]
        case "routes":
            return [encode(configuration) for configuration in plan.route_configurations.values()]
        case "clusters":
            return [encode(cluster) for cluster in plan.clusters.values()]
        case _:
            assigned = [cluster.load_assignment for cluster in plan.clusters.values()]
            return [encode(assignment) for assignment in assigned if assignment is not None]
