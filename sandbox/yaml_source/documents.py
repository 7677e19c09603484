"""YAML text into documents that remember where every key and value stood."""

from __future__ import annotations


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
