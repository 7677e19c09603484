"""``egress config``: what istiod would send to the proxy, whole or as istioctl's tables."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from sandbox.cli.config_capture import capture
from sandbox.cli.options import settings_for, workload_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cli.loading import Compiled
    from sandbox.plan import NodePlan

FORMATS = click.Choice(("short", "json", "yaml"))
TABLES = ("clusters", "listeners", "routes", "endpoints")
"""In the order of ``istioctl proxy-config all``."""
output_option = click.option("-o", "--output", type=FORMATS, default="short", show_default=True)
whole_option = click.option("-o", "--output", type=FORMATS, default="json", show_default=True)


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  egress config {line}" for line in lines)


@click.group(
    epilog="""\b
Examples:
  egress config routes -f my-mesh/ --workload shop/frontend
  egress config clusters -f my-mesh/ --node all           # the sidecar, then every gateway
  egress config listeners -f my-mesh/ --node gateway      # every gateway, or --workload NAMESPACE/NAME
  egress config dump -f my-mesh/ --workload shop/frontend > dump.json
  istioctl proxy-config listeners -f dump.json
  egress config capture 10.1.2.3:443 -f my-mesh/ --workload shop/frontend
"""
)
def config() -> None:
    """Show what istiod would send to a workload's proxy.

    With errors in the files the exit status is 65, and what istiod would refuse is left out.
    """


@config.command(
    short_help="Print an Envoy config dump.",
    epilog=_examples(
        "dump -f my-mesh/ --workload shop/frontend > dump.json",
        "dump -f my-mesh/ --node gateway --workload istio-system/istio-egressgateway",
        "dump -f my-mesh/ --node all | jq '.[\"istio-system/istio-egressgateway\"]'",
        "dump -f my-mesh/ --because | grep -A9 because",
        "dump -f my-mesh/ -o short    # all tables",
    ),
)
@workload_options
@click.option("--because", is_flag=True, help="Add to every object the lines of YAML and the defaults behind it.")
@whole_option
def dump(because: bool, output: str, **options: Any) -> int:
    """Print an Envoy config dump, as localhost:15000/config_dump?include_eds would (istioctl reads it).

    Of several nodes each has its own, under NAMESPACE/NAME. In short: the tables of clusters, listeners, routes and
    endpoints, as of istioctl proxy-config all.
    """
    nodes = _nodes(options)
    if output == "short":
        return _print_tables(nodes, TABLES)
    # Imported here, as in all subcommands: --help needs neither compiler nor codec.
    from sandbox.envoy_config.config_dump import config_dump

    _print_whole(_each(nodes, partial(config_dump, because=because)), output, indent=1)
    return nodes[0].exit_status


@config.command(epilog=_examples("listeners -f my-mesh/ --workload shop/frontend"))
@workload_options
@output_option
def listeners(output: str, **options: Any) -> int:
    """Print the listeners and their filter chains."""
    return _print(_nodes(options), "listeners", output)


@config.command(
    epilog=_examples(
        "routes -f my-mesh/ --workload shop/frontend", "routes -f my-mesh/ --workload shop/frontend -o json"
    )
)
@workload_options
@output_option
def routes(output: str, **options: Any) -> int:
    """Print the route configurations, virtual hosts and routes."""
    return _print(_nodes(options), "routes", output)


@config.command(
    epilog=_examples("clusters -f my-mesh/ --workload shop/frontend", 'clusters -f my-mesh/ -o json | jq ".[].name"')
)
@workload_options
@output_option
def clusters(output: str, **options: Any) -> int:
    """Print the clusters."""
    return _print(_nodes(options), "clusters", output)


@config.command(epilog=_examples("endpoints -f my-mesh/ --workload shop/frontend"))
@workload_options
@output_option
def endpoints(output: str, **options: Any) -> int:
    """Print the endpoints of all clusters."""
    return _print(_nodes(options), "endpoints", output)


@config.command(
    short_help="Print the names that the DNS proxy answers.",
    epilog=_examples("names -f my-mesh/ --workload shop/frontend"),
)
@workload_options
@whole_option
def names(output: str, **options: Any) -> int:
    """Print the names that the DNS proxy answers, with their addresses."""
    nodes = _nodes(options)
    if output == "short":
        return _print_tables(nodes, ("names_table",))
    from sandbox.cli import plan_tables

    _print_whole(_each(nodes, plan_tables.names), output, indent=1)
    return nodes[0].exit_status


config.add_command(capture)


def _nodes(options: dict[str, Any]) -> list[Compiled]:
    settings = settings_for(**options)
    from sandbox.cli.loading import compile_nodes, tell_of_stand_ins

    nodes = compile_nodes(settings)
    tell_of_stand_ins(settings, nodes[0].configuration)
    return nodes


def _each(nodes: list[Compiled], show: Callable[[NodePlan], Any]) -> Any:
    """What is shown of the only node, or of each by its name."""
    if len(nodes) == 1:
        return show(nodes[0].plan)
    return {node.plan.workload: show(node.plan) for node in nodes}


def _print(nodes: list[Compiled], what: str, output: str) -> int:
    if output == "short":
        return _print_tables(nodes, (what,))
    _print_whole(_each(nodes, lambda plan: _encoded(plan, what)), output, indent=4)
    return nodes[0].exit_status


def _print_tables(nodes: list[Compiled], tables: tuple[str, ...]) -> int:
    from sandbox.cli import plan_tables

    for number, node in enumerate(nodes):
        if len(nodes) > 1:
            click.echo(f"{chr(10) * (number > 0)}# {node.plan.workload} ({node.plan.node_type})")
        click.echo("\n\n".join(getattr(plan_tables, name)(node.plan) for name in tables))
    return nodes[0].exit_status


def _print_whole(shown: Any, output: str, *, indent: int) -> None:
    text = json.dumps(shown, indent=indent)
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
