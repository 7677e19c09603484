"""Documents into objects: lists are opened, kinds recognised, metadata read, specifications decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.decode import decode_message
from sandbox.istio.emulation import KINDS_NOT_EMULATED
from sandbox.istio.envoy_filter import EnvoyFilter, is_of_applied_kind
from sandbox.istio.kinds import KINDS, Kind
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.misplaced_fields import Root
from sandbox.istio.read_object import NotEmulated, ObjectReader, Spot, shown
from sandbox.istio.resource import ObjectMeta, Resource
from sandbox.yaml_source.nodes import Source, YamlMapping, YamlSequence
from sandbox.yaml_source.place import Place
from sandbox.yaml_source.problems import Problem, Problems, did_you_mean
from sandbox.yaml_source.span import ResourceRef, Span

_MESH_KEYS: Final = frozenset({"meshConfig", "pilot", "global", "values"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedObject:
    """One object of a file, whether it could be read or not."""

    ref: ResourceRef
    source: Source
    line: int
    """Within the source."""
    resource: Resource[Any] | None
    """None if its kind is not read, or the document is no object."""
    parsable: bool = True
    """Whether istiod could parse it; what it cannot parse does not exist for it."""
    guessable: bool = True
    """Whether what was meant by what istiod cannot parse is clear enough to look at the rest."""
    problems: tuple[Problem, ...] = ()
    not_emulated: tuple[NotEmulated, ...] = ()
    document: YamlMapping | None = None
    """What was written, for objects which are settings of the mesh."""

    @property
    def span(self) -> Span:
        """Where the object begins."""
        return self.source.span(self.line, 1)


def read_objects(
    document: object, source: Source, default_namespace: str, problems: Problems
) -> Iterator[LoadedObject]:
    """The objects of one document; what is no object is reported."""
    if document is None:
        return
    if not isinstance(document, YamlMapping):
        message = f"an object begins with apiVersion and kind, this document is {shown(document)}"
        problems.at("SBX0106", message, source.span(1, 1))
        return
    items = document.get("items")
    if str(document.get("kind", "")).endswith("List") and isinstance(items, YamlSequence):
        for item in items:
            yield from read_objects(item, source, default_namespace, problems)
        return
    loaded = _read_object(document, source, default_namespace, problems)
    if loaded is not None:
        yield loaded


def _read_object(
    document: YamlMapping, source: Source, default_namespace: str, problems: Problems
) -> LoadedObject | None:
    api_version, kind_name = document.get("apiVersion"), document.get("kind")
    if kind_name is None and api_version is None and _MESH_KEYS & document.keys():
        return _settings(ResourceRef("Helm values", "", ""), document, source)
    if not isinstance(kind_name, str) or not isinstance(api_version, str):
        missing = "kind" if not isinstance(kind_name, str) else "apiVersion"
        problems.at("SBX0107", f"the object has no {missing}", source.span(document.line, document.column))
        return None
    group, _, version = api_version.rpartition("/")
    if group == "install.istio.io":
        return _settings(ResourceRef(kind_name, "", ""), document, source)
    kind = KINDS.get((group, kind_name))
    if kind is None:
        return _skipped(group, kind_name, document, source, problems)
    loaded = _read_known(kind, document, source, default_namespace)
    if version in kind.versions:
        return loaded
    span = source.span(*document.value_line_column("apiVersion"))
    served = " or ".join(f"{kind.group}/{known}".lstrip("/") for known in kind.versions)
    problems.at("SBX0110", f"{kind_name} is not served as {api_version}", span, hint=f"write {served}", layer="schema")
    return loaded


def _settings(ref: ResourceRef, document: YamlMapping, source: Source) -> LoadedObject:
    return LoadedObject(ref=ref, source=source, line=document.line, resource=None, document=document)


def _skipped(
    group: str, kind_name: str, document: YamlMapping, source: Source, problems: Problems
) -> LoadedObject | None:
    near = did_you_mean(kind_name, [kind.name for kind in KINDS.values() if kind.istio])
    if near and (group.endswith("istio.io") or (not group and near == kind_name)):
        right = next(kind for kind in KINDS.values() if kind.name == near)
        span = source.span(*document.value_line_column("kind"))
        hint = f"did you mean {near} of {right.group}/{right.versions[0]}?"
        problems.at("SBX0110", f"no kind {kind_name} in {group or 'v1'}", span, hint=hint, layer="schema")
    return LoadedObject(ref=ResourceRef(kind_name, "", ""), source=source, line=document.line, resource=None)


def _read_known(kind: Kind, document: YamlMapping, source: Source, default_namespace: str) -> LoadedObject:
    metadata_node = document.get("metadata")
    ref = _reference(kind, metadata_node, default_namespace)
    reader = ObjectReader(ref, source, open_fields=True)
    metadata = _metadata(metadata_node, document, ref, reader)
    reader.open_fields = not kind.istio
    if kind.istio:
        _check_top_level(document, reader)
    if kind.flat:
        spec = decode_message(kind.spec, document, reader, "")
    else:
        spec = _section(kind.spec, "spec", document, reader)
    reader.open_fields = True
    status = _section(kind.status, "status", document, reader) if kind.status and "status" in document else None
    resource = Resource(
        api_version=str(document["apiVersion"]),
        kind=kind.name,
        metadata=metadata,
        spec=spec,
        status=status,
        place=Place(ref, source, "", document),
    )
    if kind.name in KINDS_NOT_EMULATED and not (isinstance(spec, EnvoyFilter) and is_of_applied_kind(spec)):
        reader.not_emulated.insert(0, NotEmulated(kind.name, "", source.span(document.line, document.column)))
    return LoadedObject(
        ref=ref,
        source=source,
        line=document.line,
        resource=resource,
        parsable=not reader.unparsable,
        guessable=reader.guessable,
        problems=tuple(reader.problems),
        not_emulated=tuple(reader.not_emulated),
        document=document if kind.name == "ConfigMap" else None,
    )


def _reference(kind: Kind, metadata: object, default_namespace: str) -> ResourceRef:
    written = metadata if isinstance(metadata, YamlMapping) else EMPTY
    namespace = written.get("namespace") or default_namespace
    name = written.get("name") or written.get("generateName") or ""
    return ResourceRef(kind.name, str(namespace) if kind.namespaced else "", str(name))


def _metadata(node: object, document: YamlMapping, ref: ResourceRef, reader: ObjectReader) -> ObjectMeta:
    if not isinstance(node, YamlMapping):
        if node is None:
            reader.complain("SBX0108", f"the {ref.kind} has no metadata.name", Spot(document, "kind", ""))
        else:
            reader.fault("SBX0102", f"mapping expected, not {shown(node)}", Spot(document, "metadata", ""))
        return ObjectMeta(name=ref.name, namespace=ref.namespace)
    if not ref.name:
        spot = Spot(document, "metadata", "")
        reader.complain("SBX0108", f"the {ref.kind} has no metadata.name", spot, at_key=True)
    decoded = decode_message(ObjectMeta, node, reader, "metadata")
    if decoded.namespace == ref.namespace:
        return decoded
    return replace(decoded, namespace=ref.namespace)


def _check_top_level(document: YamlMapping, reader: ObjectReader) -> None:
    known = ("apiVersion", "kind", "metadata", "spec", "status")
    for key in document.keys() - frozenset(known):
        near = did_you_mean(key, known)
        hint = f"did you mean {near}?" if near else "the fields of an object belong under spec"
        reader.unknown_field(f"unknown field {key}", Spot(document, key, ""), hint=hint)


def _section(message: type[Message], name: str, document: YamlMapping, reader: ObjectReader) -> Message:
    node = document.get(name)
    if isinstance(node, YamlMapping):
        reader.root = Root(name, message)
        return decode_message(message, node, reader, name)
    if node is not None:
        reader.fault("SBX0102", f"mapping expected, not {shown(node)}", Spot(document, name, ""))
    empty = YamlMapping(document.line, document.column)
    return message(place=Place(reader.resource, reader.source, name, empty))
