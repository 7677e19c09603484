"""Mappings and sequences that know their places, and the piece of a file they come from."""

from __future__ import annotations

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
    """A mapping with its own place and, per key, the places of key and value (lines and columns from one)."""

    __slots__ = ("column", "line", "places")

    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line = line
        self.column = column
        self.places: dict[str, tuple[int, int, int, int]] = {}

    @property
    def line_column(self) -> tuple[int, int]:
        """Where the mapping begins."""
        return self.line, self.column

    def key_line_column(self, key: str) -> tuple[int, int]:
        """Where a key stands."""
        return self.places[key][:2]

    def value_line_column(self, key: str) -> tuple[int, int]:
        """Where the value of a key begins."""
        return self.places[key][2:]


class YamlSequence(list[object]):
    """A sequence with its own place and those of its items."""

    __slots__ = ("column", "line", "places")

    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line = line
        self.column = column
        self.places: list[tuple[int, int]] = []

    def item_line_column(self, index: int) -> tuple[int, int]:
        """Where an item begins."""
        return self.places[index]


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
