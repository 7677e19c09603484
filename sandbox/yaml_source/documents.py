"""YAML text into documents that remember where every key and value stood.

The dialect is the one ``kubectl`` and ``istiod`` read (YAML 1.1 words for booleans, no timestamps, JSON inside YAML).
A text is cut at its ``---`` lines first, so one broken document does not take the others with it, and a document
that did not change need not be read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from sys import intern
from typing import Any, Final, NamedTuple

import yaml
from yaml._yaml import CParser

from sandbox.frozen_dataclass import dataclass
from sandbox.yaml_source.nodes import Source, YamlMapping, YamlSequence
from sandbox.yaml_source.plain_scalars import CORE_TAGS, key_text, resolve_plain, resolve_tagged
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.syntax_errors import report_syntax_error, report_template

MAX_DOCUMENT_CHARACTERS: Final = 8 * 1024 * 1024
"""A document as long as this is refused; the API server itself takes no object above 3 MiB."""
MAX_DEPTH: Final = 100
MAX_ALIASED_NODES: Final = 100_000

_DOCUMENT_START: Final = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVE: Final = re.compile(r"^%(?:YAML|TAG)\b", re.MULTILINE)


class Chunk(NamedTuple):
    """The text of one document and the line of the file on which it begins."""

    first_line: int
    text: str


class DocumentRefused(Exception):
    """Ends the reading of one document; the problem has been reported."""


def split_documents(text: str) -> Iterator[Chunk]:
    """Cut a text at its ``---`` lines; parts without any content are left out."""
    starts = [0] if _DIRECTIVE.search(text) else [0, *(match.start() for match in _DOCUMENT_START.finditer(text))]
    line = 1
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        chunk = text[start:end]
        if chunk and not chunk.isspace():
            yield Chunk(line, chunk)
        line += text.count("\n", start, end)


def parse_documents(source: Source, text: str, problems: Problems) -> list[object]:
    """The documents of one chunk; each fault is reported, and what is broken is left out."""
    if len(text) >= MAX_DOCUMENT_CHARACTERS:
        megabytes = len(text) / 2**20
        problems.at(
            "SBX0007",
            f"the document is {megabytes:.1f} MiB long, the limit is {MAX_DOCUMENT_CHARACTERS >> 20} MiB",
            source.span(1, 1),
            hint="split it into several documents",
        )
        return []
    builder = _Builder(source=source, text=text, problems=problems)
    try:
        return builder.read(CParser(text))
    except DocumentRefused:
        pass
    except (yaml.YAMLError, UnicodeError) as error:
        report_syntax_error(error, source, text, problems)
    return builder.documents


_Container = YamlMapping | YamlSequence
_Event = Any  # the stubs say that marks may be None; libyaml always sets them


@dataclass(slots=True)
class _Open:
    """A collection that is still being filled."""

    container: _Container
    anchor: str | None
    first_node: int
    key: str | None = None
    key_line: int = 0
    key_column: int = 0
    merges: list[object] = field(default_factory=list)


@dataclass(slots=True)
class _Builder:
    """Values out of libyaml's events; iterative, so that depth is a number and not a stack overflow."""

    source: Source
    text: str
    problems: Problems
    documents: list[object] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[object, int]] = field(default_factory=dict)
    nodes: int = 0
    aliased: int = 0

    def read(self, parser: CParser) -> list[object]:
        next_event = parser.get_event
        while (event := next_event()) is not None:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.open(event, mapping=kind is yaml.MappingStartEvent)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.close()
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.anchors.clear()
        return self.documents

    def scalar(self, event: _Event) -> None:
        self.nodes += 1
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        # The same few words fill a configuration: one object for each saves a fifth of its memory.
        text = intern(event.value)
        top = self.stack[-1] if self.stack else None
        if top is not None and top.key is None and type(top.container) is YamlMapping:
            top.key = text if event.style else key_text(text)
            top.key_line, top.key_column = line, column
            return
        value: object = text
        if event.tag is not None:
            value = self.tagged(event.tag, text, line, column)
        elif not event.style:
            value = resolve_plain(text)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)
        self.put(value, line, column)

    def tagged(self, tag: str, text: str, line: int, column: int) -> object:
        self.check_tag(tag, line, column)
        try:
            return resolve_tagged(tag, text)
        except ValueError as error:
            self.problems.at("SBX0008", str(error), self.source.span(line, column))
            raise DocumentRefused from None

    def check_tag(self, tag: str, line: int, column: int) -> None:
        if tag in CORE_TAGS:
            return
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        self.problems.at(
            "SBX0008",
            f"the tag {shown} has no meaning here",
            self.source.span(line, column),
            hint="write plain YAML: text, numbers, true, false, null, lists and mappings",
        )
        raise DocumentRefused

    def open(self, event: _Event, *, mapping: bool) -> None:
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if event.tag is not None:
            self.check_tag(event.tag, line, column)
        self.no_collection_as_key(line, column)
        if len(self.stack) >= MAX_DEPTH:
            message = f"collections are nested deeper than {MAX_DEPTH} levels"
            self.problems.at("SBX0006", message, self.source.span(line, column))
            raise DocumentRefused
        container: _Container = YamlMapping(line, column) if mapping else YamlSequence(line, column)
        self.stack.append(_Open(container, event.anchor, self.nodes))
        self.nodes += 1

    def no_collection_as_key(self, line: int, column: int) -> None:
        top = self.stack[-1] if self.stack else None
        if top is None or top.key is not None or type(top.container) is YamlSequence:
            return
        span = self.source.span(line, column)
        if "{{" in self.text.split("\n")[line - 1]:
            report_template(span, self.problems)
        else:
            hint = "text that begins with a brace or a bracket needs quotes"
            self.problems.at("SBX0009", "a key must be text, not a list or a mapping", span, hint=hint)
        raise DocumentRefused

    def close(self) -> None:
        done = self.stack.pop()
        if done.merges:
            self.merge(done)
        container = done.container
        if done.anchor is not None:
            self.anchors[done.anchor] = (container, self.nodes - done.first_node)
        self.put(container, container.line, container.column)

    def alias(self, event: _Event) -> None:
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        self.no_collection_as_key(line, column)
        known = self.anchors.get(event.anchor)
        if known is None:
            message = f"the alias *{event.anchor} stands for nothing written before it"
            self.problems.at("SBX0005", message, self.source.span(line, column))
            raise DocumentRefused
        value, size = known
        self.nodes += size
        self.aliased += size
        if self.aliased > MAX_ALIASED_NODES:
            message = f"aliases blow the document up to more than {MAX_ALIASED_NODES:,} values"
            self.problems.at("SBX0005", message, self.source.span(line, column), hint="write the values out")
            raise DocumentRefused
        self.put(value, line, column)

    def put(self, value: object, line: int, column: int) -> None:
        if not self.stack:
            self.documents.append(value)
            return
        top = self.stack[-1]
        container = top.container
        if isinstance(container, YamlSequence):
            container.append(value)
            container.places += (line, column)
            return
        key, top.key = top.key, None
        assert key is not None, "a key comes before its value"
        if key == "<<":
            top.merges.append(value)
            return
        if key in container:
            self.duplicate(container, key, top)
        container.add(key, value, (top.key_line, top.key_column, line, column))

    def duplicate(self, container: YamlMapping, key: str, top: _Open) -> None:
        first = self.source.span(*container.key_line_column(key))
        self.problems.at(
            "SBX0004",
            f"the key {key} stands here a second time, the first is in line {first.line}",
            self.source.span(top.key_line, top.key_column),
            hint="only the last one counts; keep one of them",
            layer="schema",
        )

    def merge(self, done: _Open) -> None:
        target = done.container
        assert isinstance(target, YamlMapping), "only a mapping has keys"
        for value in done.merges:
            for given in value if isinstance(value, YamlSequence) else [value]:
                self.merge_one(target, given)

    def merge_one(self, target: YamlMapping, given: object) -> None:
        if not isinstance(given, YamlMapping):
            message = "the merge key << takes a mapping or a list of mappings"
            self.problems.at("SBX0009", message, self.source.span(target.line, target.column))
            raise DocumentRefused
        for key in [key for key in given if key not in target]:
            target.add(key, given[key], given.place_of(key))
