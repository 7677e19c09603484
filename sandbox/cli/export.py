"""``egress export``: the plan for another program."""

from __future__ import annotations

import json
from typing import Any

import click

from sandbox.cli.options import settings_for, workload_options

LEFT_OUT = ("SBX0553", "SBX0555")


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
def envoy(**options: Any) -> int:
    """Print a bootstrap with which a real Envoy does the same: everything static, nothing fetched.

    Certificates that a mesh's agent would hand out are made by the local authority, see egress certs.
    What istiod or Envoy refuses, and what needs a Secret that is not there, is left out and told on standard error;
    with errors in the files the exit status is 65.
    """
    settings = settings_for(**options)
    # Imported here: --help needs neither compiler nor codec.
    from sandbox.cli.export_secrets import secrets_for
    from sandbox.cli.loading import compile_for
    from sandbox.cli.problem_report import print_problems
    from sandbox.envoy_config.bootstrap import bootstrap
    from sandbox.loading.secrets import secrets_of
    from sandbox.plan.acceptance import in_force
    from sandbox.proxy.secret_check import SecretCheck

    compiled = compile_for(settings)
    print_problems((found for found in compiled.problems if found.code in LEFT_OUT), to_stderr=True)
    check = SecretCheck(secrets_of(compiled.configuration), compiled.proxy.namespace)
    plan = check.without_unusable(in_force(compiled.plan))
    click.echo(json.dumps(bootstrap(plan, secrets_for(compiled)), indent=1))
    return compiled.exit_status
