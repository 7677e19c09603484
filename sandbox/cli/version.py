"""``egress version``."""

from __future__ import annotations

import platform

import click

from sandbox import __version__


@click.command(
    epilog="""\b
Examples:
  egress version
  egress version -o short
"""
)
@click.option("-o", "--output", type=click.Choice(["text", "short", "json"]), default="text", show_default=True)
def version(output: str) -> None:
    """Print the version, and which Istio and Envoy are emulated."""
    if output == "short":
        click.echo(__version__)
    elif output == "json":
        # Imported here: the plain form needs none.
        import json

        emulates = {"istio": "1.32", "envoy": "1.39"}
        click.echo(json.dumps({"version": __version__, "python": platform.python_version(), "emulates": emulates}))
    else:
        click.echo(f"egress {__version__} (emulates Istio 1.32, Envoy 1.39; Python {platform.python_version()})")
