"""State of reading one object: where its faults go, and what was noted on the way."""

from __future__ import annotations

from typing import Final, NamedTuple

from sandbox.istio.misplaced_fields import Root
from sandbox.yaml_source.codes import CODES, Severity
from sandbox.yaml_source.nodes import Source, YamlMapping, YamlSequence
from sandbox.yaml_source.problems import Problem
from sandbox.yaml_source.span import ResourceRef, Span

Holder = YamlMapping | YamlSequence


class _LeftOut:
    """What a converter gives back for a value it could not read; the field keeps its default."""


LEFT_OUT: Final = _LeftOut()


class Spot(NamedTuple):
    """A value by what holds it: the collection, the key or index in it, and the field path of the collection."""

    holder: Holder
    key: str | int
    path: str


class NotEmulated(NamedTuple):
    """A field (``TrafficPolicy.tunnel``) somebody wrote and nobody acts on."""

    field: str
    path: str
    span: Span


class ObjectReader:
    """Collects the problems of one object while its messages are decoded."""

    __slots__ = (
        "guessable",
        "has_schema",
        "not_emulated",
        "open_fields",
        "problems",
        "resource",
        "root",
        "source",
        "unparsable",
    )

    def __init__(self, resource: ResourceRef, source: Source, *, open_fields: bool, has_schema: bool = True) -> None:
        self.resource = resource
        self.source = source
        self.root: Root | None = None
        """The message whose fields are read; None where nobody looks for misplaced ones."""
        self.open_fields = open_fields
        """Kubernetes kinds have many fields nobody here reads; those are no fault."""
        self.has_schema = has_schema
        """No API server looks into the mesh configuration: what only a schema refuses is fine there."""
        self.problems: list[Problem] = []
        self.not_emulated: list[NotEmulated] = []
        self.unparsable = False
        self.guessable = True
        """Whether what was meant by unparsable values is clear enough to look at the rest of the object."""

    def fault(self, code: str, message: str, spot: Spot, *, hint: str = "", guessable: bool = False) -> _LeftOut:
        """A value that istiod cannot parse; the field keeps its default."""
        self.unparsable = True
        self.guessable = self.guessable and guessable
        self._add(code, CODES[code].severity, message, spot, hint)
        return LEFT_OUT

    def complain(self, code: str, message: str, spot: Spot, *, hint: str = "", at_key: bool = False) -> None:
        """A value that the API server's schema refuses and istiod takes."""
        if self.has_schema:
            self._add(code, CODES[code].severity, message, spot, hint, at_key=at_key)

    def unknown_field(self, message: str, spot: Spot, *, hint: str) -> None:
        """A key that names no field, which istiod skips without a word."""
        severity: Severity = CODES["SBX0101"].severity if self.has_schema else "warning"
        self._add("SBX0101", severity, message, spot, hint, at_key=True)

    def other_spelling(self, message: str, spot: Spot, *, hint: str) -> None:
        """A field in the spelling of the proto."""
        if self.has_schema:
            self._add("SBX0101", "warning", message, spot, hint, at_key=True)

    def _add(self, code: str, severity: Severity, message: str, spot: Spot, hint: str, *, at_key: bool = False) -> None:
        self.problems.append(
            Problem(
                code=code,
                severity=severity,
                message=message,
                span=self.span(spot, at_key=at_key),
                path=spot_path(spot),
                resource=self.resource,
                hint=hint,
                layer="schema" if self.has_schema else "istiod",
            )
        )

    def span(self, spot: Spot, *, at_key: bool = False) -> Span:
        """The place of a value, or of its key."""
        holder, key = spot.holder, spot.key
        if isinstance(holder, YamlMapping):
            if not isinstance(key, str) or key not in holder:
                return self.source.span(*holder.line_column)
            return self.source.span(*(holder.key_line_column(key) if at_key else holder.value_line_column(key)))
        return self.source.span(*holder.item_line_column(int(key)))


def spot_path(spot: Spot) -> str:
    """The field path of a value as istioctl writes it."""
    if isinstance(spot.key, int):
        return f"{spot.path}[{spot.key}]"
    return f"{spot.path}.{spot.key}" if spot.path else spot.key


def shown(value: object) -> str:
    """A value as a sentence names it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:60]!r}" if value else "an empty text"
    return "a list" if isinstance(value, list) else "a mapping"
