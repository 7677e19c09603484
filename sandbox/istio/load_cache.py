"""What was read from a document, kept for the next time the same document is loaded."""

from __future__ import annotations

from dataclasses import field

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.mesh_settings import MeshSettings
from sandbox.istio.objects import LoadedObject
from sandbox.yaml_source.documents import Chunk
from sandbox.yaml_source.nodes import Source
from sandbox.yaml_source.problems import Problem

_Key = tuple[str, str, object]


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


class LoadCache:
    """Chunks by file and text, of the load before and of the present one."""

    __slots__ = ("_kept", "_used")

    def __init__(self) -> None:
        self._kept: dict[_Key, list[LoadedChunk]] = {}
        self._used: dict[_Key, list[LoadedChunk]] = {}

    def take(self, file: str, chunk: Chunk, circumstances: object) -> LoadedChunk | None:
        """What the same text gave before, moved to its present line; each kept chunk is given out once."""
        key = (file, chunk.text, circumstances)
        kept = self._kept.get(key)
        if not kept:
            return None
        found = kept.pop(0)
        if found.source.first_line != chunk.first_line:
            if not found.movable:
                return None
            found.source.first_line = chunk.first_line
        self._used.setdefault(key, []).append(found)
        return found

    def keep(self, file: str, chunk: Chunk, circumstances: object, read: LoadedChunk) -> None:
        """Remember what was just read."""
        self._used.setdefault((file, chunk.text, circumstances), []).append(read)

    def forget_unused(self) -> None:
        """The load is complete: what it did not use will not come back."""
        self._kept, self._used = self._used, {}
