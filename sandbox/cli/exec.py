"""``egress exec``: run a program inside the sandbox."""

from __future__ import annotations

import sys

from sandbox.capture.launcher import Launch, launch, launch_uncaptured
from sandbox.cli.exec_options import USAGE, ExecOptions, UsageError, parse
from sandbox.cli.exit_codes import USAGE as EXIT_USAGE


def main(arguments: list[str]) -> int:
    """Runs the command line after ``egress exec``; returns only where the command could not be started."""
    try:
        options = parse(arguments)
    except UsageError as error:
        print(f"Error: {error}\nTry 'egress exec --help' for help.", file=sys.stderr)
        return EXIT_USAGE
    if options.wants_help:
        print(USAGE, end="")
        return 0
    if options.is_uncaptured or sys.platform != "linux":
        return _launch_uncaptured(options)
    if not options.own_arguments:
        return launch(_launch_of(options))
    from sandbox.cli.exec_own import start_own_sandbox  # only where the program brings its own

    own = start_own_sandbox(options.own_arguments)
    if isinstance(own, int):
        return own
    options.control = own.control
    return launch(_launch_of(options))


def _launch_uncaptured(options: ExecOptions) -> int:
    if options.own_arguments:
        print("Error: without capture start the sandbox first: egress run -f DIR", file=sys.stderr)
        return EXIT_USAGE
    return launch_uncaptured(options.command, options.proxy)


def _launch_of(options: ExecOptions) -> Launch:
    request = Launch(options.command, options.control)
    request.workload = options.workload
    request.namespace = options.namespace
    request.labels = options.labels
    request.capture = options.capture
    request.host_ports = options.host_ports
    request.publish = options.publish
    return request
