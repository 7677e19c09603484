"""``egress exec`` in the table of subcommands, for help and completion; the work is done by ``sandbox.cli.exec``."""

from __future__ import annotations

import click

from sandbox.cli.exec import main


@click.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def exec_command(arguments: tuple[str, ...]) -> int:
    """Run a command with all its TCP connections and DNS questions captured."""
    return main(list(arguments))
