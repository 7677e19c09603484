"""Findings about what was written: code, sentence, place, hint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.yaml_source.codes import CODES, Severity
from sandbox.yaml_source.span import Origin, ResourceRef, Span

_LONGEST_WORD: Final = 64
"""No word of the API is longer; comparing takes time with the square of the length."""
Layer = Literal["yaml", "schema", "istiod", "sandbox"]
"""Who minds: the YAML reader, the API server's schema, istiod's validation, or only this emulation."""

NodeType = Literal["", "sidecar", "router"]
"""Which proxies it is about; empty: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding; ``message`` is lower case without a full stop, ``hint`` says what would be right."""

    code: str
    severity: Severity
    message: str
    span: Span | None = None
    path: str = ""
    resource: ResourceRef | None = None
    hint: str = ""
    layer: Layer = "sandbox"
    related: tuple[Origin, ...] = ()
    node_type: NodeType = ""

    def __str__(self) -> str:
        where = f"{self.span.file}:{self.span.line}:{self.span.column}: " if self.span else ""
        return f"{where}{self.severity} {self.code}: {self.message}"


class Problems:
    """Collects findings in the order they are found, each once; nothing is raised."""

    __slots__ = ("_problems", "_seen", "told")

    def __init__(self, problems: Iterable[Problem] = ()) -> None:
        self.told = 0
        """How many findings there were, those that were known already included."""
        self._problems: list[Problem] = []
        self._seen: set[Problem] = set()
        self.extend(problems)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._problems)

    def __len__(self) -> int:
        return len(self._problems)

    def add(self, problem: Problem) -> None:
        """Take one finding in."""
        self.told += 1
        if problem not in self._seen:
            self._seen.add(problem)
            self._problems.append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Take several findings in."""
        for problem in problems:
            self.add(problem)

    def at(self, code: str, message: str, span: Span, *, hint: str = "", layer: Layer = "yaml") -> None:
        """Take in a finding about a place in a file that belongs to no object yet."""
        severity = CODES[code].severity
        self.add(Problem(code=code, severity=severity, message=message, span=span, hint=hint, layer=layer))

    def report(
        self,
        code: str,
        message: str,
        origin: Origin | None,
        *,
        hint: str = "",
        layer: Layer = "sandbox",
        severity: Severity | None = None,
        related: tuple[Origin, ...] = (),
        node_type: NodeType = "",
    ) -> None:
        """Take in a finding about one place of an object; ``severity`` is that of the code if not given."""
        written = origin is not None and bool(origin.span.file)
        self.add(
            Problem(
                code=code,
                severity=severity or CODES[code].severity,
                message=message,
                span=origin.span if origin is not None and written else None,
                path=origin.path if origin is not None else "",
                resource=origin.resource if origin is not None else None,
                hint=hint,
                layer=layer,
                related=related,
                node_type=node_type,
            )
        )

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Only what makes the configuration unusable."""
        return tuple(problem for problem in self._problems if problem.severity == "error")

    def sorted(self) -> tuple[Problem, ...]:
        """By file, line and column; findings without a place come first."""
        return tuple(sorted(self._problems, key=lambda problem: problem.span or Span("", 0, 0)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known word nearest to a misspelt one, or the empty text if none is near."""
    if len(word) > _LONGEST_WORD:
        return ""
    candidates = {name.lower(): name for name in known}
    plain = word.lower().replace("-", "_")
    for spelling in (plain, plain.replace("_", "")):
        if spelling in candidates:
            return candidates[spelling]
    close = get_close_matches(plain, candidates, n=1, cutoff=0.6)
    return candidates[close[0]] if close else ""


def render(problem: Problem, texts: Mapping[str, str]) -> str:
    """A problem with an excerpt of its line and a caret; ``texts`` are the files by name."""
    lines = [str(problem)]
    if problem.span is not None and problem.span.file in texts:
        lines += _excerpt(problem.span, texts[problem.span.file])
    if problem.resource is not None and problem.resource.kind:
        where = f", {problem.path}" if problem.path else ""
        lines.append(f"   in {problem.resource}{where}")
    if problem.hint:
        lines.append(f"   hint: {problem.hint}")
    return "\n".join(lines)


def printable(text: str) -> str:
    """Text with a dot for every character that a terminal would not show."""
    return "".join(character if character.isprintable() or character == "\t" else "·" for character in text)


def _excerpt(span: Span, text: str) -> list[str]:
    written = text.split("\n")
    if not 1 <= span.line <= len(written):
        return []
    line = written[span.line - 1].rstrip("\r")
    start = max(0, span.column - 60)
    shown, column = printable(line[start : start + 100]), span.column - start
    number = f"{span.line:5d} | "
    padding = "".join("\t" if character == "\t" else " " for character in shown[: column - 1])
    return [number + shown, " " * 5 + " | " + padding + "^"]
