"""Problems for people: place, sentence, the line itself with a caret, hint; and as records for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import click

from sandbox.cli.terminal import paint
from sandbox.yaml_source.problems import Problem
from sandbox.yaml_source.span import Span

SEVERITIES = ("error", "warning", "info")
COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}
EXCERPT_WIDTH = 100


def print_problems(problems: Iterable[Problem], *, to_stderr: bool = False, least: str = "info") -> None:
    """All of them, by file and line; ``least`` is the least severity that is shown."""
    stream = sys.stderr if to_stderr else sys.stdout
    shown = [problem for problem in problems if SEVERITIES.index(problem.severity) <= SEVERITIES.index(least)]
    source = _Source()
    for problem in sorted(shown, key=_order):
        click.echo(_told(problem, source, stream), err=to_stderr)


def summary(problems: Iterable[Problem]) -> str:
    """``2 errors, 1 warning``; empty when there is nothing to tell."""
    counts = dict.fromkeys(SEVERITIES, 0)
    for problem in problems:
        counts[problem.severity] += 1
    words = {"error": ("error", "errors"), "warning": ("warning", "warnings"), "info": ("note", "notes")}
    return ", ".join(f"{count} {words[severity][count != 1]}" for severity, count in counts.items() if count)


def record(problem: Problem) -> dict[str, object]:
    """One problem as ``-o json`` gives it."""
    span = problem.span
    return {
        "layer": problem.layer,
        "severity": problem.severity,
        "code": problem.code,
        "file": span.file if span else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
    }


def github_annotation(problem: Problem) -> str:
    """One problem as a workflow command, which GitHub shows beside the line."""
    level = {"error": "error", "warning": "warning", "info": "notice"}[problem.severity]
    span = problem.span
    place = f" file={span.file},line={span.line},col={span.column}" if span else ""
    message = problem.message + (f" ({problem.hint})" if problem.hint else "")
    escaped = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{level}{place}{',' if place else ' '}title={problem.code}::{escaped}"


def _order(problem: Problem) -> tuple[str, int, int]:
    span = problem.span
    return (span.file, span.line, span.column) if span else ("", 0, 0)


def _told(problem: Problem, source: _Source, stream: IO[str]) -> str:
    span = problem.span
    place = f"{span.file}:{span.line}:{span.column}: " if span else ""
    severity = paint(problem.severity, stream, fg=COLOURS[problem.severity], bold=True)
    lines = [f"{paint(place, stream, bold=True)}{severity} {problem.code}: {problem.message}"]
    if span is not None:
        lines += source.excerpt(span)
    if problem.resource is not None and problem.resource.kind:
        lines.append(f"   in {problem.resource}{', ' + problem.path if problem.path else ''}")
    lines += [f"   also {origin}  {origin.resource}" for origin in problem.related]
    if problem.hint:
        lines.append(f"   hint: {problem.hint}")
    return "\n".join(lines)


class _Source:
    """Lines of the user's files, read when a problem points at them."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def excerpt(self, span: Span) -> list[str]:
        """The line and a caret under the column; nothing where the file cannot be read again (standard input)."""
        lines = self._lines(span.file)
        if not 1 <= span.line <= len(lines):
            return []
        text = lines[span.line - 1].replace("\t", " ")
        if len(text) > EXCERPT_WIDTH:
            text = text[: EXCERPT_WIDTH - 1] + "…"
        caret = [f"        | {' ' * (span.column - 1)}^"] if 0 < span.column <= EXCERPT_WIDTH else []
        return [f"   {span.line:4} | {text}", *caret]

    def _lines(self, file: str) -> list[str]:
        if file not in self._files:
            try:
                self._files[file] = Path(file).read_text(encoding="utf-8", errors="replace").split("\n")
            except OSError:
                self._files[file] = []
        return self._files[file]


def relative(file: str) -> str:
    """A file's name as shown: relative to here where that is shorter."""
    near = os.path.relpath(file) if os.path.isabs(file) else file
    return near if len(near) < len(file) else file


def as_records(problems: Iterable[Problem]) -> list[Mapping[str, object]]:
    """All problems as records, by file and line."""
    return [record(problem) for problem in sorted(problems, key=_order)]
