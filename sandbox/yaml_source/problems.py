"""Findings about what was written: code, sentence, place, hint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from sandbox.yaml_source.span import Origin, ResourceRef, Span

Severity = Literal["error", "warning", "info"]


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
    layer: Literal["yaml", "schema", "istiod", "sandbox"] = "sandbox"
    related: tuple[Origin, ...] = field(default=())

    def __str__(self) -> str:
        where = f"{self.span.file}:{self.span.line}:{self.span.column}: " if self.span else ""
        return f"{where}{self.severity} {self.code}: {self.message}"


class Problems:
    """Collects findings in the order they are found; nothing is raised."""

    __slots__ = ("_problems",)

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._problems)

    def __len__(self) -> int:
        return len(self._problems)

    def add(self, problem: Problem) -> None:
        """Take one finding in."""
        self._problems.append(problem)

    def report(self, code: str, message: str, origin: Origin | None, *, hint: str = "", severity: Severity) -> None:
        """Take in a finding about one place of the configuration."""
        self.add(
            Problem(
                code=code,
                severity=severity,
                message=message,
                span=origin.span if origin is not None else None,
                path=origin.path if origin is not None else "",
                resource=origin.resource if origin is not None else None,
                hint=hint,
            )
        )

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Only what makes the configuration unusable."""
        return tuple(problem for problem in self._problems if problem.severity == "error")
