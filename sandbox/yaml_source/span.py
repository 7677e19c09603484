"""Where in which file something was written."""

from __future__ import annotations

from typing import NamedTuple

from sandbox.frozen_dataclass import dataclass


class Span(NamedTuple):
    """A place in a file; ``line`` and ``column`` count from one."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class ResourceRef(NamedTuple):
    """Which object of the configuration, as kubectl would name it."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {'/'.join(filter(None, (self.namespace, self.name)))}".rstrip()


@dataclass(frozen=True, slots=True)
class Origin:
    """The place of one message in the configuration: object, field path, file and line.

    ``path`` is the field path as istioctl writes it (``spec.http[0].match[0].uri``).
    """

    resource: ResourceRef
    path: str
    span: Span

    def __str__(self) -> str:
        return str(self.span)
