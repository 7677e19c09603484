"""Reloads that nobody waits for, by a signal or a changed file: what became of them is told on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sandbox.errors import SandboxError
from sandbox.proxy.tasks import detach

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.app import Sandbox
    from sandbox.loading import Loaded
    from sandbox.yaml_source.problems import Problem

TOLD_BY_A_RUN = ("SBX0701", "SBX0702", "SBX0703", "SBX0556")


def start_reload(sandbox: Sandbox) -> None:
    """Reads the configuration again, in the background."""
    detach(_reload(sandbox), "reload")


async def _reload(sandbox: Sandbox) -> None:
    before = sandbox.loaded
    try:
        problems = await sandbox.reload()
    except SandboxError as error:
        _tell(f"the configuration stays as it was: {error}")
        return
    if problems.errors:
        _tell_problems(problems)
        _tell("the configuration stays as it was")
        return
    _tell("configuration reloaded")
    known = told_by_a_run(before)
    for message in told_by_a_run(sandbox.loaded):
        if message not in known:
            _tell(message)
    if before is not None and before.logs_by_default and not _has_log(sandbox.loaded):
        _tell("the access log is off now: the mesh configuration names no accessLogFile")


def told_by_a_run(loaded: Loaded | None) -> dict[str, None]:
    """What is said without being asked for: who stands in, what runs elsewhere, what is missing."""
    found = [] if loaded is None else [*loaded.configuration.problems, *loaded.problems]
    return dict.fromkeys(problem.message for problem in found if problem.code in TOLD_BY_A_RUN)


def _has_log(loaded: Loaded | None) -> bool:
    configuration = loaded.configuration if loaded is not None else None
    return configuration is None or bool(configuration.mesh.access_log_file or configuration.resources("Telemetry"))


def _tell_problems(problems: Iterable[Problem]) -> None:
    """One line each, with what would be right."""
    for problem in problems:
        print(f"{problem} ({problem.hint})" if problem.hint else problem, file=sys.stderr)


def _tell(message: str) -> None:
    print(f"egress: {message}", file=sys.stderr)
