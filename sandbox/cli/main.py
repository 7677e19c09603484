"""``egress``: the table of subcommands, and how mistakes end."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from sandbox.cli import exit_codes
from sandbox.cli.lazy_group import LazyGroup, Subcommand
from sandbox.errors import ConfigError, SandboxError

SUBCOMMANDS = {
    "run": Subcommand("sandbox.cli.run", "run", "Run the proxy: a sidecar or a gateway for real traffic."),
    "exec": Subcommand("sandbox.cli.exec_command", "exec_command", "Run a command inside the sandbox, without root."),
    "demo": Subcommand("sandbox.cli.demo", "demo", "Watch what the mesh does with six kinds of calls, offline."),
    "validate": Subcommand("sandbox.cli.validate", "validate", "Check each object by itself, as istiod does."),
    "check": Subcommand("sandbox.cli.check", "check", "Check the configuration as a whole, as istioctl analyze does."),
    "explain": Subcommand("sandbox.cli.explain", "explain", "Say what would happen to a call, and which lines decide."),
    "config": Subcommand(
        "sandbox.cli.config", "config", "Show what istiod would send: listeners, routes, clusters ..."
    ),
    "capture": Subcommand("sandbox.cli.capture", "capture", "Lay a sidecar's capture rules, for containers."),
    "export": Subcommand("sandbox.cli.export", "export", "Write the configuration for another program."),
    "lab": Subcommand("sandbox.cli.lab", "lab", "Run the embedded internet alone."),
    "certs": Subcommand("sandbox.cli.certs", "certs", "Make the local certificate authority and its certificates."),
    "completion": Subcommand("sandbox.cli.completion", "completion", "Print a shell's completion script."),
    "version": Subcommand("sandbox.cli.version", "version", "Print the version."),
}

EPILOG = """\b
Examples:
  egress demo
  egress validate -f my-mesh/
  egress run -f my-mesh/ --workload shop/frontend
  egress explain https://api.example.com -f my-mesh/ --workload shop/frontend

\b
Exit status: 0 fine, 1 failed, 64 usage, 65 the configuration cannot be used,
79 problems were found."""


def _print_version(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked and not context.resilient_parsing:
        # Imported here, as every subcommand.
        from sandbox.cli.version import version

        context.invoke(version, output="text")
        context.exit()


egress = LazyGroup(
    "egress",
    SUBCOMMANDS,
    help="What an Istio sidecar or egress gateway does with outbound traffic: here, from real YAML, with reasons.",
    epilog=EPILOG,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version, as the command does.",
        )
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main() -> NoReturn:
    """The console script: runs a subcommand and turns every mistake of the user into a sentence and a status."""
    try:
        status = egress.main(prog_name="egress", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(exit_codes.INTERRUPTED)
    except click.UsageError as error:
        error.show()
        _say_where_files_go(error)
        sys.exit(exit_codes.USAGE)
    except click.ClickException as error:
        error.show()
        sys.exit(exit_codes.FAILED)
    except ConfigError as error:
        # Imported here: most runs have no mistake to show.
        from sandbox.cli.problem_report import print_problems

        print_problems(error.problems, to_stderr=True)
        sys.exit(exit_codes.DATA)
    except SandboxError as error:
        click.echo(f"egress: {error}", err=True)
        sys.exit(exit_codes.FAILED)
    except BrokenPipeError:
        # The reader has gone (``| head``): not our mistake; and nothing may be flushed at exit any more.
        sys.stderr.close()
        sys.exit(exit_codes.FAILED)
    except OSError as error:
        if error.filename is None:
            raise
        click.echo(f"egress: {error.filename}: {(error.strerror or type(error).__name__).lower()}", err=True)
        sys.exit(exit_codes.FAILED)
    sys.exit(status if isinstance(status, int) else 0)


def _say_where_files_go(error: click.UsageError) -> None:
    """``istioctl analyze`` takes files as arguments, and so does everybody who writes ``-f *.yaml``."""
    takes_files = error.ctx is not None and any(option.name == "files" for option in error.ctx.command.params)
    before, _, extra = error.message.partition(" (")
    if takes_files and before.startswith("Got unexpected extra argument"):
        given = " ".join(f"-f {path}" for path in extra.removesuffix(")").split(" "))
        click.echo(f"hint: name each file or directory by -f, as in: {given}", err=True)
