"""Texts of YAML files into one typed configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from itertools import pairwise
from typing import Any

from sandbox.collection_pause import collection_paused
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.emulation import HINTS, KINDS_NOT_EMULATED, NOT_EMULATED, WITHOUT_EFFECT
from sandbox.istio.load_cache import LoadCache, LoadedChunk
from sandbox.istio.mesh_config import MeshConfig
from sandbox.istio.mesh_defaults import DEFAULT_MESH_CONFIG
from sandbox.istio.mesh_settings import (
    MeshSettings,
    is_mesh_config,
    is_operator_fragment,
    read_bare,
    read_config_map,
    read_values,
    with_defaults,
)
from sandbox.istio.message import EMPTY
from sandbox.istio.objects import LoadedObject, read_objects
from sandbox.istio.read_object import NotEmulated
from sandbox.istio.resource import Resource
from sandbox.yaml_source.codes import CODES
from sandbox.yaml_source.documents import Chunk, parse_documents
from sandbox.yaml_source.nodes import Source, YamlMapping
from sandbox.yaml_source.problems import Problem, Problems
from sandbox.yaml_source.span import Origin, ResourceRef, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that was read: objects by kind in file order, and the settings of the mesh."""

    by_kind: Mapping[str, tuple[Resource[Any], ...]] = EMPTY
    """Objects that istiod could parse."""
    objects: tuple[LoadedObject, ...] = ()
    """All objects, also those that could not be parsed and those of kinds nobody reads."""
    mesh: MeshConfig = DEFAULT_MESH_CONFIG
    mesh_given: bool = False
    pilot_env: Mapping[str, str] = EMPTY
    values: Mapping[str, object] = EMPTY
    """Helm values, as in an IstioOperator's ``spec.values``."""
    problems: Problems = field(default_factory=Problems)

    @property
    def root_namespace(self) -> str:
        """The namespace whose policies hold for the whole mesh."""
        return self.mesh.root_namespace

    @property
    def system_namespace(self) -> str:
        """The namespace that istiod runs in."""
        return str(_inside(self.values, "global").get("istioNamespace") or "istio-system")

    @property
    def domain_suffix(self) -> str:
        """The domain of the cluster's services, ``cluster.local`` unless Helm values say otherwise."""
        proxy = _inside(_inside(self.values, "global"), "proxy")
        return str(proxy.get("clusterDomain") or "cluster.local")

    def resources(self, kind: str) -> tuple[Resource[Any], ...]:
        """All objects of a kind, in file order."""
        return self.by_kind.get(kind, ())

    def without(self, gone: Collection[int]) -> Configuration:
        """The same without the resources of these identities."""
        kept = {
            kind: tuple(each for each in resources if id(each) not in gone) for kind, resources in self.by_kind.items()
        }
        objects = tuple(each for each in self.objects if id(each.resource) not in gone)
        return replace(self, by_kind=kept, objects=objects)


def _inside(values: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = values.get(key)
    return value if isinstance(value, Mapping) else EMPTY


def load_texts(
    texts: Iterable[tuple[str, str]],
    default_namespace: str = "default",
    *,
    mesh: tuple[str, str] | None = None,
    cache: LoadCache | None = None,
) -> Configuration:
    """Read files given as (name, text); what is wrong with them is in ``problems``.

    ``mesh`` is the file of the mesh configuration, in any of its forms. ``cache`` keeps what was read from documents
    that are the same the next time; objects read from them keep their identity, and their lines follow the file.
    """
    cache = cache if cache is not None else LoadCache()
    loader = _Loader(default_namespace, cache)
    with collection_paused():
        for file, text in texts:
            loader.file(file, text)
        if mesh is not None:
            loader.mesh_file(*mesh)
        cache.forget_unused()
        return loader.configuration()


class _Loader:
    """Gathers the chunks of all files."""

    def __init__(self, default_namespace: str, cache: LoadCache) -> None:
        self.default_namespace = default_namespace
        self.cache = cache
        self.chunks: list[LoadedChunk] = []
        self.problems = Problems()

    def file(self, file: str, text: str) -> None:
        self.read(file, text, mesh_file=False)

    def mesh_file(self, file: str, text: str) -> None:
        self.read(file, text, mesh_file=True)

    def read(self, file: str, text: str, *, mesh_file: bool) -> None:
        circumstances = (self.default_namespace, mesh_file)
        self.chunks += self.cache.read(
            file, text, circumstances, lambda chunk: self.chunk(file, chunk, mesh_file=mesh_file)
        )

    def chunk(self, file: str, chunk: Chunk, *, mesh_file: bool) -> LoadedChunk:
        source = Source(file, chunk.first_line)
        problems = Problems()
        read = LoadedChunk(source=source)
        for document in parse_documents(source, chunk.text, problems):
            self.document(document, chunk.text, read, problems, mesh_file=mesh_file)
        read.problems = tuple(problems)
        return read

    def document(self, document: object, text: str, read: LoadedChunk, problems: Problems, *, mesh_file: bool) -> None:
        if isinstance(document, YamlMapping) and not document.keys() & {"kind", "apiVersion"}:
            bare = mesh_file and not document.keys() & {"meshConfig", "pilot", "global", "values", "spec"}
            if bare or is_mesh_config(document):
                read.mesh.append(read_bare(document, read.source, ResourceRef("MeshConfig", "", "")))
                return
            if is_operator_fragment(document):
                read.mesh.append(read_values(document, ResourceRef("IstioOperator", "", ""), read.source))
                return
        for loaded in read_objects(document, read.source, self.default_namespace, problems):
            read.objects.append(loaded)
            settings = _mesh_settings(loaded, text)
            if settings is not None:
                read.mesh.append(settings)

    def configuration(self) -> Configuration:
        by_kind: dict[str, list[Resource[Any]]] = {}
        objects: list[LoadedObject] = []
        settings: list[MeshSettings] = []
        notes: list[NotEmulated] = []
        for chunk in self.chunks:
            objects += chunk.objects
            settings += chunk.mesh
            self.problems.extend(chunk.problems)
        for loaded in objects:
            self.problems.extend(loaded.problems)
            notes += loaded.not_emulated
            if loaded.resource is not None and loaded.parsable:
                by_kind.setdefault(loaded.resource.kind, []).append(loaded.resource)
        for setting in settings:
            self.problems.extend(setting.problems)
            notes += setting.not_emulated
        _report_settings(settings, self.problems)
        _report_twice(objects, self.problems)
        _report_not_emulated(notes, self.problems)
        _report_skipped(objects, self.problems)
        return Configuration(
            by_kind={kind: tuple(resources) for kind, resources in by_kind.items()},
            objects=tuple(objects),
            mesh=with_defaults(settings),
            mesh_given=any(setting.mesh is not None or setting.profile is not None for setting in settings),
            pilot_env={key: value for setting in settings for key, value in setting.pilot_env.items()},
            values={key: value for setting in settings for key, value in setting.values.items()},
            problems=self.problems,
        )


def _mesh_settings(loaded: LoadedObject, text: str) -> MeshSettings | None:
    if loaded.document is None:
        return None
    if loaded.ref.kind == "ConfigMap":
        return read_config_map(loaded.document, loaded.ref, loaded.source, text)
    return read_values(loaded.document, loaded.ref, loaded.source)


def _report_settings(settings: list[MeshSettings], problems: Problems) -> None:
    given = [setting for setting in settings if setting.mesh is not None]
    for earlier, later in pairwise(given):
        assert earlier.mesh is not None, "filtered above"
        assert later.mesh is not None, "filtered above"
        message = f"the mesh configuration is written here again; fields written here override {earlier.ref}"
        problems.report("SBX0204", message, later.mesh.origin, related=(earlier.mesh.origin,))


def _report_twice(objects: list[LoadedObject], problems: Problems) -> None:
    seen: dict[tuple[str, ResourceRef], LoadedObject] = {}
    for loaded in objects:
        if loaded.resource is None or not loaded.ref.name:
            continue
        group = loaded.resource.api_version.rpartition("/")[0]
        first = seen.setdefault((group, loaded.ref), loaded)
        if first is not loaded:
            origin = Origin(loaded.ref, "", loaded.span)
            message = f"{loaded.ref} stands here a second time, the first is {first.span}"
            hint = "in a cluster the later one replaces the earlier"
            problems.report("SBX0109", message, origin, hint=hint, related=(Origin(first.ref, "", first.span),))


def _report_not_emulated(notes: list[NotEmulated], problems: Problems) -> None:
    uses = Counter(note.field for note in notes)
    for note in {note.field: note for note in reversed(notes)}.values():
        code, what, reason = _why_not(note.field)
        more = f" ({uses[note.field]} uses)" if uses[note.field] > 1 else ""
        problems.add(
            Problem(
                code=code,
                severity=CODES[code].severity,
                message=f"{note.field} {what}: {reason}{more}",
                span=note.span,
                path=note.path,
                hint=HINTS.get(note.field, ""),
            )
        )


def _why_not(field: str) -> tuple[str, str, str]:
    """Code, verb and reason for a field or kind nobody acts on."""
    if field in KINDS_NOT_EMULATED:
        return "SBX0202", "is not emulated", KINDS_NOT_EMULATED[field]
    if field in WITHOUT_EFFECT:
        return "SBX0205", "has no effect here", WITHOUT_EFFECT[field]
    return "SBX0201", "is not emulated", NOT_EMULATED[field]


def _report_skipped(objects: list[LoadedObject], problems: Problems) -> None:
    counts = Counter(each.ref.kind for each in objects if each.resource is None and each.document is None)
    if not counts:
        return
    listed = ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in sorted(counts.items()))
    total = sum(counts.values())
    message = f"skipped {total} object{'s' if total > 1 else ''} of kinds that do not matter here: {listed}"
    first = next(each for each in objects if each.resource is None and each.document is None)
    problems.add(Problem(code="SBX0203", severity="info", message=message, span=Span(*first.span)))
