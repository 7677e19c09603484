"""``egress export``: the plan for another program."""

from __future__ import annotations

import json
from typing import Any

import click

from sandbox.cli.options import settings_for, workload_options


@click.group(
    epilog="""\b
Examples:
  egress export envoy -f my-mesh/ --workload shop/frontend > envoy.json
  envoy -c envoy.json
"""
)
def export() -> None:
    """Write the configuration for another program."""


@export.command(
    short_help="Print a bootstrap for a real Envoy.",
    epilog="""\b
Examples:
  egress export envoy -f my-mesh/ --workload shop/frontend > envoy.json
""",
)
@workload_options
def envoy(**options: Any) -> None:
    """Print a bootstrap with which a real Envoy does the same: everything static, nothing fetched.

    Certificates that a mesh's agent would hand out are made by the local authority, see egress certs.
    """
    settings = settings_for(**options)
    # Imported here: --help needs neither compiler nor codec.
    from sandbox.cli.export_secrets import secrets_for
    from sandbox.cli.loading import compile_for
    from sandbox.envoy_config.bootstrap import bootstrap
    from sandbox.plan.acceptance import in_force

    compiled = compile_for(settings)
    click.echo(json.dumps(bootstrap(in_force(compiled.plan), secrets_for(compiled)), indent=1))
