"""Mappings and sequences that know their places, and the piece of a file they come from."""

from __future__ import annotations

from collections.abc import Container

from sandbox.yaml_source.span import Span


class Source:
    """A piece of a file; places inside it count from its first line, so it can move when lines above it change."""

    __slots__ = ("file", "first_line", "indent")

    def __init__(self, file: str, first_line: int = 1, indent: int = 0) -> None:
        self.file = file
        self.first_line = first_line
        self.indent = indent
        """Columns to the left of the piece: YAML inside a block of text is indented."""

    def span(self, line: int, column: int) -> Span:
        """The place in the file of a place in this piece; both count from one."""
        return Span(self.file, self.first_line + line - 1, self.indent + column)


class YamlMapping(dict[str, object]):
    """A mapping with its own place and, per key, the places of key and value (lines and columns from one).

    There is one for each mapping of a configuration, so places are one flat list, four numbers for each key in order.
    """

    __slots__ = ("column", "line", "places")

    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line = line
        self.column = column
        self.places: list[int] = []

    def add(self, key: str, value: object, place: tuple[int, int, int, int]) -> None:
        """Put a key and its value in; a key that is there already moves to its new place."""
        if key in self:
            index = self._index(key)
            self.places[index : index + 4] = place
        else:
            self.places += place
        self[key] = value

    def only(self, keys: Container[str]) -> YamlMapping:
        """A mapping with some of the keys, at the same places."""
        kept = YamlMapping(self.line, self.column)
        for index, (key, value) in enumerate(self.items()):
            if key in keys:
                kept[key] = value
                kept.places += self.places[4 * index : 4 * index + 4]
        return kept

    def place_of(self, key: str) -> tuple[int, int, int, int]:
        """Line and column of a key, and of its value."""
        index = self._index(key)
        line, column, value_line, value_column = self.places[index : index + 4]
        return line, column, value_line, value_column

    def _index(self, key: str) -> int:
        return 4 * next(index for index, known in enumerate(self) if known == key)

    @property
    def line_column(self) -> tuple[int, int]:
        """Where the mapping begins."""
        return self.line, self.column

    def key_line_column(self, key: str) -> tuple[int, int]:
        """Where a key stands."""
        return self.place_of(key)[:2]

    def value_line_column(self, key: str) -> tuple[int, int]:
        """Where the value of a key begins."""
        return self.place_of(key)[2:]


class YamlSequence(list[object]):
    """A sequence with its own place and those of its items, two numbers for each."""

    __slots__ = ("column", "line", "places")

    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line = line
        self.column = column
        self.places: list[int] = []

    def item_line_column(self, index: int) -> tuple[int, int]:
        """Where an item begins."""
        return self.places[2 * index], self.places[2 * index + 1]


class FixedSource(Source):
    """A text whose lines are not lines of the file, as YAML inside a quoted text: every place is where it begins."""

    __slots__ = ("place",)

    def __init__(self, place: Span) -> None:
        super().__init__(place.file, place.line)
        self.place = place

    def span(self, line: int, column: int) -> Span:
        """The place of the whole text."""
        del line, column
        return self.place


def block_source(outer: Source, text: str, line: int, column: int) -> Source:
    """The source of YAML written as a text value at a place of ``text``, the text of ``outer``.

    Only in a literal block (``|``) the lines are those of the file.
    """
    lines = text.split("\n")
    if line <= len(lines) and lines[line - 1][column - 1 : column] == "|":
        inside = next((later for later in lines[line:] if later.strip()), "")
        first = outer.span(line + 1, 1)
        return Source(first.file, first.line, len(inside) - len(inside.lstrip(" ")))
    return FixedSource(outer.span(line, column))
