"""The place of one message in its file, kept small until somebody asks for it."""

from __future__ import annotations

from typing import Final

from sandbox.yaml_source.nodes import Source, YamlMapping, YamlSequence
from sandbox.yaml_source.span import Origin, ResourceRef, Span

_ABBREVIATED: Final = {
    "cluster_ip": "clusterIP",
    "cluster_ips": "clusterIPs",
    "external_ips": "externalIPs",
    "pod_ip": "podIP",
    "pod_ips": "podIPs",
    "host_ip": "hostIP",
    "pod_cidr": "podCIDR",
    "include_ip_ranges": "includeIPRanges",
    "exclude_ip_ranges": "excludeIPRanges",
}
"""Fields whose JSON name has an abbreviation in capitals."""


def camel_case(name: str) -> str:
    """The JSON spelling of a field: ``export_to`` is ``exportTo``."""
    if name in _ABBREVIATED:
        return _ABBREVIATED[name]
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


class PlacedOrigin(Origin):
    """An origin that is worked out when somebody asks: there are many, few are read, and lines move with the file."""

    __slots__ = ("_keys", "_place")
    _keys: tuple[int | str, ...]
    _place: Place

    def __init__(self, place: Place, keys: tuple[int | str, ...]) -> None:
        object.__setattr__(self, "_place", place)
        object.__setattr__(self, "_keys", keys)

    @property
    def resource(self) -> ResourceRef:
        """The object."""
        return self._place.resource

    @property
    def path(self) -> str:
        """The field path."""
        return self._place.locate(self._keys)[0]

    @property
    def span(self) -> Span:
        """The line, as the file is now."""
        return self._place.locate(self._keys)[1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Origin):
            return NotImplemented
        return (self.resource, self.path, self.span) == (other.resource, other.path, other.span)

    def __hash__(self) -> int:
        return hash((self.resource, self.path, self.span))


class Place:
    """Object, field path and YAML node of one message; gives an ``Origin`` for it or for one of its fields."""

    __slots__ = ("node", "path", "resource", "source")

    def __init__(self, resource: ResourceRef, source: Source, path: str, node: YamlMapping) -> None:
        self.resource = resource
        self.source = source
        self.path = path
        self.node = node

    def __bool__(self) -> bool:
        return bool(self.source.file)

    def origin(self) -> Origin:
        """Where the message itself begins."""
        return PlacedOrigin(self, ())

    def written(self, name: str) -> bool:
        """Whether the field was written at all, in either spelling."""
        return self.key(name) in self.node

    def value(self, name: str) -> object:
        """What was written for a field; None if nothing or null was."""
        return self.node.get(self.key(name))

    def key(self, name: str) -> str:
        """The key under which a field was written, or would be."""
        proto_name = name.rstrip("_")
        spelling = camel_case(proto_name)
        return proto_name if proto_name in self.node and spelling not in self.node else spelling

    def field_origin(self, name: str, *keys: int | str) -> Origin:
        """Where a field (``http``), or an item in it (``http``, 2), was written; else what is around it."""
        return PlacedOrigin(self, (name, *keys))

    def locate(self, keys: tuple[int | str, ...]) -> tuple[str, Span]:
        """Field path and place of the message (no keys), or of a field or item in it as far as it was written."""
        node: object = self.node
        span, path = self.node.line_column, self.path
        names = (self.key(str(keys[0])), *keys[1:]) if keys else ()
        for key in names:
            if isinstance(node, YamlMapping) and isinstance(key, str) and key in node:
                span, path = node.key_line_column(key), f"{path}.{key}" if path else key
                node = node[key]
            elif isinstance(node, YamlSequence) and isinstance(key, int) and key < len(node):
                span, path = node.item_line_column(key), f"{path}[{key}]"
                node = node[key]
            else:
                break
        return path, self.source.span(*span)


class OverlaidPlace(Place):
    """The place of a message written over another: a field that is not written here is where that one has it."""

    __slots__ = ("below",)

    def __init__(self, above: Place, below: Place) -> None:
        super().__init__(above.resource, above.source, above.path, above.node)
        self.below = below

    def written(self, name: str) -> bool:
        """Whether the field was written in either."""
        return super().written(name) or self.below.written(name)

    def value(self, name: str) -> object:
        """What was written for a field, here or else below."""
        return super().value(name) if super().written(name) else self.below.value(name)

    def field_origin(self, name: str, *keys: int | str) -> Origin:
        """Where the field was written, here or else below."""
        if not super().written(name) and self.below.written(name):
            return self.below.field_origin(name, *keys)
        return super().field_origin(name, *keys)


NOWHERE: Final = Place(ResourceRef("", "", ""), Source("", 1), "", YamlMapping(0, 0))
"""The place of messages that no file holds: built-in defaults, and messages made by hand."""
