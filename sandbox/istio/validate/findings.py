"""What validation finds about one object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sandbox.istio.message import Message
from sandbox.yaml_source.codes import Severity
from sandbox.yaml_source.problems import Problem
from sandbox.yaml_source.span import Origin

Verdict = Literal["valid", "warning", "error"]
"""Istiod's own word."""


class Findings:
    """Errors and warnings of istiod's validation, each at the field it is about."""

    __slots__ = ("_warnings_lost", "problems")

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._warnings_lost = False

    def error(self, message: str, at: Message, field: str = "", *keys: int | str, hint: str = "") -> None:
        """Istiod refuses the object."""
        origin = at.origin_of(field, *keys) if field else at.origin
        self._add("IST0106", "error", message, origin, hint)

    def warn(
        self, message: str, at: Message, field: str = "", *keys: int | str, hint: str = "", code: str = "IST0133"
    ) -> None:
        """Istiod accepts the object and says something about it."""
        if not self._warnings_lost:
            origin = at.origin_of(field, *keys) if field else at.origin
            self._add(code, "warning", message, origin, hint)

    def check(self, fault: str | None, at: Message, field: str = "", *keys: int | str, hint: str = "") -> None:
        """An error if a rule gave a sentence; rules of ``primitives`` give one where they are broken."""
        if fault is not None:
            self.error(fault, at, field, *keys, hint=hint)

    @contextmanager
    def errors_only(self) -> Iterator[None]:
        """Istiod forgets the warnings of some parts, such as the matches of HTTP routes or the policies of subsets."""
        before, self._warnings_lost = self._warnings_lost, True
        try:
            yield
        finally:
            self._warnings_lost = before

    @property
    def verdict(self) -> Verdict:
        """Istiod's word: valid, warning or error."""
        severities = {problem.severity for problem in self.problems if problem.layer == "istiod"}
        return "error" if "error" in severities else "warning" if "warning" in severities else "valid"

    def _add(self, code: str, severity: Severity, message: str, origin: Origin, hint: str) -> None:
        self.problems.append(
            Problem(
                code=code,
                severity=severity,
                message=message,
                span=origin.span,
                path=origin.path,
                resource=origin.resource,
                hint=hint,
                layer="istiod",
            )
        )
