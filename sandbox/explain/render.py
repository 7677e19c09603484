"""A walk as lines of text: 80 columns, each with a style for whoever puts colours to it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Final, Literal

from sandbox.access_log.response_flags import BY_SHORT_NAME
from sandbox.explain.steps import Near, Outcome, Step, Walk, reason_of
from sandbox.frozen_dataclass import dataclass
from sandbox.plan.because import Because, IstioDefault
from sandbox.yaml_source.problems import Problem
from sandbox.yaml_source.span import Span

Style = Literal["title", "step", "plain", "place", "excerpt", "loser", "good", "bad"]

SourceLookup = Callable[[Span], "str | None"]
"""The text of the line at a place, without its end; ``None`` where the file is not at hand."""

_LABEL: Final = 14
_MOST_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One line of output, without its end."""

    text: str
    style: Style = "plain"


def render(walk: Walk, source: SourceLookup = lambda _span: None, *, width: int = 80) -> list[Line]:
    """The whole walk; ``source`` gives the YAML lines that are quoted."""
    page = _Page(source, width)
    lines = [Line(f"{walk.call}, from {walk.workload} ({walk.node_type})", "title")]
    for node in walk.nodes:
        if node is not walk:
            lines += [Line(""), Line(f"then through {node.workload} ({node.node_type})", "title")]
        lines += page.node(node)
    for problem in walk.findings:
        lines += page.finding(problem)
    return lines


def as_text(walk: Walk, source: SourceLookup = lambda _span: None, *, width: int = 80) -> str:
    """The lines without styles."""
    return "\n".join(line.text for line in render(walk, source, width=width)) + "\n"


class _Page:
    def __init__(self, source: SourceLookup, width: int) -> None:
        self._source = source
        self._width = width
        self._told: set[str] = set()

    def node(self, walk: Walk) -> Iterator[Line]:
        yield Line("")
        for step in walk.steps:
            yield from self.step(step)
        yield Line("")
        yield from self.outcome(walk.outcome)

    def step(self, step: Step) -> Iterator[Line]:
        yield from self._labelled(step.kind, step.found, "step")
        if step.reason:
            yield from self._indented(step.reason, "plain")
        for note in step.notes:
            yield from self._indented(f"note: {note}", "plain")
        yield from self._places(step.because)
        for loser in step.losers:
            yield from self._loser(loser)

    def _labelled(self, label: str, text: str, style: Style) -> Iterator[Line]:
        wrapped = self._wrap(text, _LABEL) or [""]
        yield Line(f"{label:<{_LABEL}}{wrapped[0]}", style)
        for rest in wrapped[1:]:
            yield Line(" " * _LABEL + rest, style)

    def _indented(self, text: str, style: Style, indent: int = _LABEL) -> Iterator[Line]:
        for line in self._wrap(text, indent):
            yield Line(" " * indent + line, style)

    def _wrap(self, text: str, indent: int) -> list[str]:
        return textwrap.wrap(text, self._width - indent, break_long_words=False, break_on_hyphens=False)

    def _places(self, because: tuple[Because, ...], indent: int = _LABEL) -> Iterator[Line]:
        seen: set[str] = set()
        for each in because:
            reason = reason_of(each)
            if reason.where in seen and reason.where != "default":
                continue
            seen.add(reason.where)
            if len(seen) > _MOST_LINES:
                return
            place = f"{reason.where}  {reason.text}"
            if place in self._told:
                if reason.where != "default":
                    yield from self._indented(f"{reason.where}  (see above)", "place", indent)
                continue
            self._told.add(place)
            yield from self._indented(place, "place", indent)
            yield from self._excerpt(each, indent + 2)

    def _excerpt(self, because: Because, indent: int) -> Iterator[Line]:
        origin = because.origin
        place = origin.setting if isinstance(origin, IstioDefault) else origin
        text = self._source(place.span) if place is not None else None
        if text is None or place is None or not text.strip():
            return
        shown = f"{place.span.line:>4} | {text.strip()}"
        room = self._width - indent
        yield Line(" " * indent + (shown if len(shown) <= room else shown[: room - 1] + "…"), "excerpt")

    def _loser(self, near: Near) -> Iterator[Line]:
        yield from self._indented(f"not {near.name}: {near.reason}", "loser", _LABEL)
        for each in near.because[:1]:
            reason = reason_of(each)
            if reason.where != "default":
                yield from self._indented(f"{reason.where}  {reason.text}", "loser", _LABEL + 2)

    def finding(self, problem: Problem) -> Iterator[Line]:
        where = f"{problem.span}: " if problem.span is not None else ""
        hint = f"; {problem.hint}" if problem.hint else ""
        yield from self._labelled("note", f"{where}{problem.message} ({problem.code}){hint}", "loser")

    def outcome(self, outcome: Outcome) -> Iterator[Line]:
        style: Style = "good" if outcome.is_forwarded and not outcome.flags else "bad"
        if outcome.status and outcome.status < 400 and not outcome.flags:
            style = "good"
        yield from self._labelled("outcome", outcome.sentence, style)
        yield from self._indented(log_fields(outcome), style)
        for flag in outcome.flags:
            meaning = BY_SHORT_NAME[flag].meaning if flag in BY_SHORT_NAME else ""
            yield from self._indented(f"{flag}: {meaning}", "plain")
        for note in outcome.notes:
            yield from self._indented(note, "plain")


def log_fields(outcome: Outcome) -> str:
    """What the access log would say of it."""
    status = "the upstream's" if outcome.status is None else str(outcome.status)
    fields = [f"response_code {status}", f"response_flags {','.join(outcome.flags) or '-'}"]
    if outcome.details:
        fields.append(f"details {outcome.details}")
    if outcome.cluster:
        fields.append(f"cluster {outcome.cluster}")
    if outcome.route:
        fields.append(f"route {outcome.route}")
    return ", ".join(fields)
