"""What was read from files, kept for the next time they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.mesh_settings import MeshSettings
from sandbox.istio.objects import LoadedObject
from sandbox.yaml_source.documents import Chunk, split_documents
from sandbox.yaml_source.nodes import Source
from sandbox.yaml_source.problems import Problem

_Key = tuple[str, object, int]
"""The file, how it is read, and how many times it was read before in the same load."""

AddressedServices = dict[int, tuple[LoadedObject, LoadedObject]]
"""Services as they were read, by identity, and the same with the address that a cluster gives."""


@dataclass(slots=True)
class LoadedChunk:
    """Everything that one document of a file gave."""

    source: Source
    objects: list[LoadedObject] = field(default_factory=list)
    mesh: list[MeshSettings] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()

    @property
    def movable(self) -> bool:
        """Whether the lines can follow the file: places count from the source, reported problems do not."""
        noted = any(each.problems or each.not_emulated for each in self.objects)
        return not (noted or self.problems or self.mesh)


@dataclass(slots=True)
class _FileRead:
    """A file, the text of each of its documents, and what those gave."""

    text: str
    documents: list[str]
    chunks: list[LoadedChunk]

    def by_document(self) -> dict[str, list[LoadedChunk]]:
        """What each text gave, the last of several alike first."""
        found: dict[str, list[LoadedChunk]] = {}
        for document, chunk in zip(reversed(self.documents), reversed(self.chunks), strict=True):
            found.setdefault(document, []).append(chunk)
        return found


class LoadCache:
    """Files as they were read by the load before, and by the present one."""

    __slots__ = ("_kept", "_used", "addressed_services")

    def __init__(self) -> None:
        self.addressed_services: AddressedServices = {}
        self._kept: dict[_Key, _FileRead] = {}
        self._used: dict[_Key, _FileRead] = {}

    def read(
        self, file: str, text: str, circumstances: object, read: Callable[[Chunk], LoadedChunk]
    ) -> list[LoadedChunk]:
        """What the documents of a file give; those that are the same as before are not read again."""
        times = 0
        while (file, circumstances, times) in self._used:
            times += 1
        key = (file, circumstances, times)
        known = self._kept.get(key)
        if known is None or known.text != text:
            known = _read_again(text, known, read)
        self._used[key] = known
        return known.chunks

    def forget_unused(self) -> None:
        """The load is complete: what it did not use will not come back."""
        self._kept, self._used = self._used, {}


def _read_again(text: str, before: _FileRead | None, read: Callable[[Chunk], LoadedChunk]) -> _FileRead:
    known = before.by_document() if before is not None else {}
    found = _FileRead(text, [], [])
    for chunk in split_documents(text):
        found.documents.append(chunk.text)
        found.chunks.append(_moved(known.get(chunk.text), chunk.first_line) or read(chunk))
    return found


def _moved(known: list[LoadedChunk] | None, first_line: int) -> LoadedChunk | None:
    """The next chunk of the same text, moved to its present line; each is given out once."""
    if not known:
        return None
    found = known.pop()
    if found.source.first_line != first_line:
        if not found.movable:
            return None
        found.source.first_line = first_line
    return found
