"""The place of one message in its file, kept small until somebody asks for it."""

from __future__ import annotations

from typing import Final

from sandbox.yaml_source.documents import YamlMapping, YamlSequence
from sandbox.yaml_source.span import Origin, ResourceRef, Span


def camel_case(name: str) -> str:
    """The protobuf JSON spelling of a field: ``export_to`` is ``exportTo``."""
    head, *rest = name.rstrip("_").split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


class Place:
    """Object, field path and YAML node of one message; gives an ``Origin`` for it or for one of its fields."""

    __slots__ = ("file", "node", "path", "resource")

    def __init__(self, resource: ResourceRef, file: str, path: str, node: YamlMapping) -> None:
        self.resource = resource
        self.file = file
        self.path = path
        self.node = node

    def __bool__(self) -> bool:
        return bool(self.file)

    def origin(self) -> Origin:
        """Where the message itself begins."""
        return Origin(self.resource, self.path, Span(self.file, self.node.line, self.node.column))

    def written(self, name: str) -> bool:
        """Whether the field was written at all, in either spelling."""
        return camel_case(name) in self.node or name in self.node

    def field_origin(self, name: str, *keys: int | str) -> Origin:
        """Where a field (``http``), or an item in it (``http``, 2), was written; else what is around it."""
        node: object = self.node
        spelling = camel_case(name)
        first = spelling if spelling in self.node else name
        span, path = self.node.line_column, self.path
        for key in (first, *keys):
            if isinstance(node, YamlMapping) and isinstance(key, str) and key in node:
                span, path = node.key_line_column(key), f"{path}.{key}" if path else key
                node = node[key]
            elif isinstance(node, YamlSequence) and isinstance(key, int) and key < len(node):
                span, path = node.item_line_column(key), f"{path}[{key}]"
                node = node[key]
            else:
                break
        return Origin(self.resource, path, Span(self.file, *span))


NOWHERE: Final = Place(ResourceRef("", "", ""), "", "", YamlMapping(0, 0))
"""The place of messages that no file holds: built-in defaults, and messages made by hand."""
