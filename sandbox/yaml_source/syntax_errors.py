"""What libyaml found wrong, said so that a person knows what to change."""

from __future__ import annotations

from typing import Final

import yaml

from sandbox.yaml_source.nodes import Source
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.span import Span

_SENTENCES: Final = {
    "mapping values are not allowed in this context": (
        "a key cannot stand here",
        "check the indentation; text that holds a colon and a space needs quotes",
    ),
    "could not find expected ':'": ("a key without a colon", "write `key: value`, with a space after the colon"),
    "did not find expected key": (
        "this line fits no mapping or list around it",
        "indent it as far as its neighbours; text that begins with a quote must end with it",
    ),
    "did not find expected '-' indicator": ("this line is no item of the list around it", "begin it with `- `"),
    "did not find expected ',' or ']'": ("the list in brackets has no end", "close it with ]"),
    "did not find expected ',' or '}'": ("the mapping in braces has no end", "close it with }"),
    "did not find expected node content": ("a value is missing here", ""),
    "found unexpected end of stream": ("the quoted text has no end", "close it with the same quote"),
    "found undefined tag handle": ("the tag is not declared", "text that begins with ! needs quotes"),
    "found unknown escape character": ("unknown escape in double quotes", "use single quotes, or write \\\\"),
    "block sequence entries are not allowed in this context": (
        "a list cannot begin here",
        "put it on a line of its own",
    ),
}
_CANNOT_START: Final = "found character that cannot start any token"
_TAB: Final = "found a tab character that violates indentation"


def report_syntax_error(error: yaml.YAMLError | UnicodeError, source: Source, text: str, problems: Problems) -> None:
    """One problem for one syntax error, with the place libyaml stopped at."""
    if isinstance(error, yaml.reader.ReaderError):
        line, column = _line_column(text, error.position)
        character = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        message = f"the character U+{character:04X} is not allowed in YAML"
        problems.at("SBX0011", message, source.span(line, column), hint="remove it, or write it as an escape in quotes")
        return
    if isinstance(error, UnicodeEncodeError):
        problems.at(
            "SBX0011",
            "half of a character pair (surrogate) stands alone",
            source.span(*_line_column(text, error.start)),
        )
        return
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        problems.at("SBX0002", f"not YAML: {error}", source.span(1, 1))
        return
    said = str(getattr(error, "problem", "")) or "not YAML"
    lines = text.split("\n")
    excerpt = lines[mark.line] if mark.line < len(lines) else ""
    span = source.span(mark.line + 1, mark.column + 1)
    if said in (_CANNOT_START, _TAB):
        _report_character(excerpt[mark.column : mark.column + 1], excerpt, span, problems)
    elif "{{" in excerpt:
        report_template(span, problems)
    else:
        message, hint = _SENTENCES.get(said, (said, ""))
        problems.at("SBX0002", message, span, hint=hint)


def _report_character(character: str, excerpt: str, span: Span, problems: Problems) -> None:
    if character == "\t" or "\t" in excerpt[: len(excerpt) - len(excerpt.lstrip())]:
        problems.at("SBX0003", "a tab cannot indent YAML", span, hint="indent with spaces")
    elif "{{" in excerpt or "{%" in excerpt:
        report_template(span, problems)
    else:
        problems.at("SBX0002", f"text cannot begin with {character}", span, hint="put the text in quotes")


def report_template(span: Span, problems: Problems) -> None:
    """The file is what templates are made of, not what they make."""
    problems.at(
        "SBX0010",
        "the file still holds template expressions",
        span,
        hint="render it first, as with `helm template`",
    )


def _line_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
