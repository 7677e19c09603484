"""The console script: ``egress exec`` by the short way, everything else by the table of subcommands."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing typing for it would cost egress exec 3 ms
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Importing the command line's library would cost ``exec`` more than all of its own work."""
    if sys.argv[1:2] == ["exec"]:
        from sandbox.cli.exec import main as run_exec

        sys.exit(run_exec(sys.argv[2:]))
    from sandbox.cli.main import main as run_subcommand

    run_subcommand()
