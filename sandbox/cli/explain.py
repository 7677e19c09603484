"""``egress explain``: what would happen to a call, step by step, and which lines decide."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from sandbox.cli.options import settings_for, wants_gateways, workload_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.cli.loading import Compiled
    from sandbox.compiler.proxy import Proxy
    from sandbox.explain.call import Call
    from sandbox.explain.steps import Walk
    from sandbox.match.capture_rules import CaptureRule
    from sandbox.yaml_source.problems import Problem

WIDTH = 80
MOST_WIDTH = 120
STYLES: dict[str, dict[str, Any]] = {
    "title": {"bold": True},
    "step": {"bold": True},
    "place": {"fg": "cyan"},
    "excerpt": {"dim": True},
    "loser": {"fg": "yellow"},
    "good": {"fg": "green"},
    "bad": {"fg": "red"},
}


def _header(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = [value.partition(":") for value in values]
    for name, separator, _ in pairs:
        if not separator or not name.strip():
            raise click.BadParameter(f"{name!r} is not NAME: VALUE", context, parameter)
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


@click.command(
    epilog="""\b
Examples:
  egress explain https://api.example.com/v1 -f my-mesh/ --workload shop/frontend
  egress explain http://reviews/ -f my-mesh/ --header 'end-user: jason'
  egress explain db.example.com:3306 -f my-mesh/ --address 203.0.113.7
"""
)
@click.argument("target", metavar="URL|HOST:PORT")
@workload_options
@click.option("-X", "--method", default="GET", show_default=True)
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", callback=_header, help="Repeatable.")
@click.option("--address", metavar="IP", help="What the name resolves to, where that matters.")
@click.option("-o", "--output", type=click.Choice(("text", "json")), default="text", show_default=True)
def explain(
    target: str,
    method: str,
    headers: tuple[tuple[str, str], ...],
    address: str | None,
    output: str,
    **options: Any,
) -> int:
    """Say what would happen to a call, and why: every decision with its line of YAML, or the default that made it.

    HOST:PORT is taken as TLS on the ports known for it, else as TCP; write tls:// or tcp:// to say it. Nothing is sent.
    With errors in the files the exit status is 65: the answer is for what istiod would take of them.
    """
    # Imported here: --help needs none of it.
    from sandbox.cli.loading import compile_for
    from sandbox.explain.call import CallRefused, parse_call

    try:
        call = parse_call(target, method=method, headers=headers, address=address)
    except CallRefused as error:
        raise click.BadParameter(str(error)) from None
    with_gateways = wants_gateways(options["node_type"])
    compiled = compile_for(settings_for(with_gateways=with_gateways, **options))
    walk = _walk(compiled, call)
    if output == "json":
        click.echo(json.dumps(walk.as_dict(), indent=1, ensure_ascii=False))
    else:
        _print(walk)
    return compiled.exit_status


def _walk(compiled: Compiled, call: Call) -> Walk:
    from sandbox.compiler.spiffe import identity_of
    from sandbox.explain.address_steps import DnsView
    from sandbox.explain.walk import explain as walk
    from sandbox.loading.gateway_plans import GatewayPlans
    from sandbox.loading.plan_refusals import tls_fault
    from sandbox.plan.acceptance import in_force

    proxy = compiled.proxy
    call = dataclasses.replace(
        call,
        source_ip=proxy.ip_addresses[0] if proxy.ip_addresses else call.source_ip,
        identity=identity_of(proxy, compiled.configuration.mesh.trust_domain),
    )
    if proxy.node_type == "router":
        call = _at_gateway(compiled, call)
    dns = DnsView(
        is_captured=proxy.metadata.dns_capture,
        namespace=proxy.namespace,
        domain=proxy.dns_domain.removeprefix(f"{proxy.namespace}."),
    )
    found = walk(
        in_force(compiled.plan),
        call,
        capture_rules=_capture_rules(compiled, call),
        dns=dns,
        problems=compiled.problems,
        gateways=GatewayPlans(compiled.configuration, compiled.push).at,
        tls_fault=lambda plan, cluster: tls_fault(plan, compiled.configuration, cluster),
    )
    return _with_passed_over(found, compiled, proxy, compiled.written.refused)


def _with_passed_over(walk: Walk, compiled: Compiled, proxy: Proxy, refused: Sequence[Problem] = ()) -> Walk:
    """With what does not count for the proxy of each node; what is refused is told once."""
    from sandbox.compiler import find_proxy
    from sandbox.explain.passed_over import with_passed_over
    from sandbox.loading.passed_over import passed_over

    configuration = compiled.written.configuration
    walk = with_passed_over(walk, passed_over(configuration, refused, compiled.push, proxy, walk))
    gateway = find_proxy(configuration, walk.onward.workload, "router") if walk.onward is not None else None
    if walk.onward is None or gateway is None:
        return walk
    return dataclasses.replace(walk, onward=_with_passed_over(walk.onward, compiled, gateway))


def _at_gateway(compiled: Compiled, call: Call) -> Call:
    """The call as it arrives at the gateway's pod, sent to a port of its Service."""
    from sandbox.compiler.gateway_ports import listening_port

    return dataclasses.replace(
        call,
        port=listening_port(compiled.push, compiled.proxy, call.port),
        address=call.address or compiled.proxy.ip_addresses[0],
        headers=(("Host", call.authority), *call.headers),
    )


def _capture_rules(compiled: Compiled, call: Call) -> tuple[CaptureRule, ...]:
    """What the pod's init container would lay; none where the configuration has no such pod."""
    from sandbox.compiler.capture import CaptureInputs, build_capture_settings
    from sandbox.match.capture_rules import build_rules
    from sandbox.yaml_source.problems import Problems

    proxy, configuration = compiled.proxy, compiled.configuration
    found = [
        pod.metadata
        for pod in configuration.resources("Pod")
        if (pod.metadata.namespace, pod.metadata.name) == (proxy.namespace, proxy.name)
    ]
    if not found or proxy.node_type == "router":
        return ()
    inputs = CaptureInputs(metadata=found[0], values=configuration.values)
    version = 6 if ":" in (call.address or call.host) else 4
    return tuple(build_rules(build_capture_settings(inputs, Problems()), version))


def _print(walk: Walk) -> None:
    from sandbox.cli.problem_report import FileTexts
    from sandbox.cli.terminal import paint
    from sandbox.explain.render import render

    width = min(shutil.get_terminal_size((WIDTH, 0)).columns, MOST_WIDTH) if sys.stdout.isatty() else WIDTH
    for line in render(walk, FileTexts().raw_line, width=width):
        click.echo(paint(line.text, **STYLES.get(line.style, {})))
