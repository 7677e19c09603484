"""Problems for people: place, sentence, the line itself with a caret, hint; and as records for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import click

from sandbox.cli.terminal import has_colour, paint
from sandbox.yaml_source.problems import Problem, render
from sandbox.yaml_source.span import Span

SEVERITIES = ("error", "warning", "info")
COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}


class FileTexts(Mapping[str, str]):
    """The user's files by name, read when a problem points at one; a file that cannot be read again is not there."""

    def __init__(self) -> None:
        self._texts: dict[str, str | None] = {}

    def __contains__(self, file: object) -> bool:
        return isinstance(file, str) and self._text(file) is not None

    def __getitem__(self, file: str) -> str:
        text = self._text(file)
        if text is None:
            raise KeyError(file)
        return text

    def __iter__(self) -> Iterator[str]:
        return (file for file, text in self._texts.items() if text is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def raw_line(self, span: Span) -> str | None:
        """The line at ``span``, without its end."""
        text = self._text(span.file)
        lines = text.split("\n") if text is not None else []
        return lines[span.line - 1] if 1 <= span.line <= len(lines) else None

    def line(self, span: Span) -> str | None:
        """The line at ``span``, without its indentation."""
        line = self.raw_line(span)
        return line.strip() if line is not None else None

    def _text(self, file: str) -> str | None:
        if file not in self._texts:
            try:
                self._texts[file] = Path(file).read_text(encoding="utf-8", errors="replace")
            except OSError:
                self._texts[file] = None
        return self._texts[file]


def print_problems(problems: Iterable[Problem], *, to_stderr: bool = False, least: str = "info") -> None:
    """All of them, by file and line; ``least`` is the least severity that is shown."""
    stream = sys.stderr if to_stderr else sys.stdout
    shown = [problem for problem in problems if SEVERITIES.index(problem.severity) <= SEVERITIES.index(least)]
    texts = FileTexts()
    for problem in sorted(shown, key=place_order):
        click.echo(_told(problem, texts, stream), err=to_stderr)


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


def place_order(problem: Problem) -> tuple[str, int, int]:
    """By file, line and column; what has no place comes first."""
    span = problem.span
    return (span.file, span.line, span.column) if span else ("", 0, 0)


def _told(problem: Problem, texts: FileTexts, stream: IO[str]) -> str:
    first, *rest = render(problem, texts).split("\n")
    if has_colour(stream):
        place, severity, message = first.partition(f"{problem.severity} {problem.code}")
        bold = paint(severity, stream, fg=COLOURS[problem.severity], bold=True)
        first = paint(place, stream, bold=True) + bold + message
    related = [f"   see also {origin}: {origin.resource}" for origin in problem.related]
    return "\n".join([first, *rest, *related])


def as_records(problems: Iterable[Problem]) -> list[Mapping[str, object]]:
    """All problems as records, by file and line."""
    return [record(problem) for problem in sorted(problems, key=place_order)]
