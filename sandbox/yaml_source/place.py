"""The place of one message in its file, kept small until somebody asks for it."""

from __future__ import annotations

from typing import Final

from sandbox.yaml_source.nodes import Source, YamlMapping, YamlSequence
from sandbox.yaml_source.span import Origin, ResourceRef


def camel_case(name: str) -> str:
    """The protobuf JSON spelling of a field: ``export_to`` is ``exportTo``."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


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
        return Origin(self.resource, self.path, self.source.span(self.node.line, self.node.column))

    def written(self, name: str) -> bool:
        """Whether the field was written at all, in either spelling."""
        return self.key(name) in self.node

    def value(self, name: str) -> object:
        """What was written for a field; None if nothing or null was."""
        return self.node.get(self.key(name))

    def key(self, name: str) -> str:
        """The key under which a field was written, or would be."""
        proto_name = name.rstrip("_")
        for spelling in (camel_case(proto_name), proto_name):
            if spelling in self.node:
                return spelling
        plain = proto_name.replace("_", "").lower()
        return next((key for key in self.node if key.lower() == plain), camel_case(proto_name))

    def field_origin(self, name: str, *keys: int | str) -> Origin:
        """Where a field (``http``), or an item in it (``http``, 2), was written; else what is around it."""
        node: object = self.node
        span, path = self.node.line_column, self.path
        for key in (self.key(name), *keys):
            if isinstance(node, YamlMapping) and isinstance(key, str) and key in node:
                span, path = node.key_line_column(key), f"{path}.{key}" if path else key
                node = node[key]
            elif isinstance(node, YamlSequence) and isinstance(key, int) and key < len(node):
                span, path = node.item_line_column(key), f"{path}[{key}]"
                node = node[key]
            else:
                break
        return Origin(self.resource, path, self.source.span(*span))


NOWHERE: Final = Place(ResourceRef("", "", ""), Source("", 1), "", YamlMapping(0, 0))
"""The place of messages that no file holds: built-in defaults, and messages made by hand."""
