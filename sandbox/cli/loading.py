"""What the commands that only look at a configuration do with it: read, decode, compile, without binding anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sandbox.config_files import read_texts
from sandbox.istio.load import Configuration, load_texts
from sandbox.settings import Settings
from sandbox.yaml_source.problems import Problems

if TYPE_CHECKING:
    from sandbox.plan import NodePlan


def load_configuration(settings: Settings) -> Configuration:
    """The files of ``settings``, the mesh configuration's last; problems are in the result."""
    unreadable = Problems()
    texts = read_texts(settings.files, unreadable)
    mesh = read_texts([settings.mesh], unreadable) if settings.mesh else []
    configuration = load_texts(texts, settings.namespace, mesh=mesh[0] if mesh else None)
    configuration.problems.extend(unreadable)
    return configuration


def compile_plan(settings: Settings) -> NodePlan:
    """The plan for the workload of ``settings``; objects with errors are left out, as in a cluster that refused them.

    How many problems there are is told on standard error.
    """
    from sandbox.compiler import compile_node, find_proxy
    from sandbox.compiler.push_context import PushContext

    configuration = load_configuration(settings)
    push = PushContext(configuration)
    plan = compile_node(push, find_proxy(configuration, settings.workload, settings.node_type))
    errors = len(configuration.problems.errors)
    if errors:
        click.echo(f"egress: {errors} error{'s' * (errors != 1)} in the configuration: see egress validate", err=True)
    return plan
