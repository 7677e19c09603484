"""YAML text into documents: what is read, where it stood, and a coded error for everything else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.yaml_source.documents import MAX_DOCUMENT_CHARACTERS, parse_documents, split_documents
from sandbox.yaml_source.nodes import Source, YamlMapping, YamlSequence, block_source
from sandbox.yaml_source.problems import Problems, render
from sandbox.yaml_source.span import Span
from sandbox.yaml_source.text import decode_text


def read(text: str) -> tuple[list[Any], Problems]:
    """All documents of a text and the problems found."""
    problems = Problems()
    documents: list[Any] = []
    for chunk in split_documents(text):
        documents += parse_documents(Source("a.yaml", chunk.first_line), chunk.text, problems)
    return documents, problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-12", -12),
        ("1_000", 1000),
        ("0x1F", 31),
        ("012", 10),
        ("0b11", 3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("on", True),
        ("n", False),
        ("~", None),
        ("", None),
        ("10.0.0.1", "10.0.0.1"),
        ("5s", "5s"),
        ("22:22", "22:22"),
        ("2001-01-01", "2001-01-01"),
        ("'on'", "on"),
        ('"5"', "5"),
        ("!!str 5", "5"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_mean_what_kubectl_reads(text: str, value: object) -> None:
    documents, problems = read(f"key: {text}")

    assert documents == [{"key": value}]
    assert not len(problems)


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        pytest.param("a: 1\n: b", "SBX0002", 2, 1, id="no key"),
        pytest.param("a: [1,", "SBX0002", 2, 1, id="open bracket"),
        pytest.param("a: b: c", "SBX0002", 1, 5, id="second colon"),
        pytest.param("a: @b", "SBX0002", 1, 4, id="reserved character"),
        pytest.param("a:\n\tb: 1", "SBX0003", 2, 1, id="tab"),
        pytest.param("a: 1\n\tb: 2", "SBX0003", 2, 1, id="tab after a value"),
        pytest.param("a: 1\nb: 2\na: 3", "SBX0004", 3, 1, id="duplicate key"),
        pytest.param("a: &x [*x]", "SBX0005", 1, 8, id="alias of itself"),
        pytest.param("a: *b", "SBX0005", 1, 4, id="unknown alias"),
        pytest.param("[" * 200 + "]" * 200, "SBX0006", 1, 101, id="nesting"),
        pytest.param("a: " + "x" * MAX_DOCUMENT_CHARACTERS, "SBX0007", 1, 1, id="length"),
        pytest.param("a: !!python/object:os.system x", "SBX0008", 1, 4, id="python tag"),
        pytest.param("a: !secret x", "SBX0008", 1, 4, id="own tag"),
        pytest.param("a: !!int x", "SBX0008", 1, 4, id="tag that lies"),
        pytest.param("{a: 1}: b", "SBX0009", 1, 1, id="mapping as key"),
        pytest.param("a: {{ .Values.b }}", "SBX0010", 1, 5, id="template value"),
        pytest.param("<<: 5", "SBX0009", 1, 1, id="merge of a number"),
        pytest.param("a:\n  {{- if .b }}\n  c: d", "SBX0010", 2, 4, id="template line"),
        pytest.param("a: b\x01", "SBX0011", 1, 5, id="control character"),
    ],
)
def test_what_is_wrong_has_a_code_and_a_place(text: str, code: str, line: int, column: int) -> None:
    _, problems = read(text)

    assert [(problem.code, problem.span) for problem in problems] == [(code, Span("a.yaml", line, column))]


def test_a_broken_document_does_not_take_the_others_with_it() -> None:
    documents, problems = read("a: 1\n---\nb: [\n---\nc: 3\n")

    assert documents == [{"a": 1}, {"c": 3}]
    assert [problem.span.line for problem in problems if problem.span] == [4]


def test_the_last_of_two_equal_keys_counts() -> None:
    documents, _ = read("a: 1\na: 2")

    assert documents == [{"a": 2}]


def test_documents_end_at_three_dots_and_may_be_empty() -> None:
    documents, problems = read("# a comment\n---\n---\na: 1\n...\n---\nb: 2\n")

    assert [document for document in documents if document is not None] == [{"a": 1}, {"b": 2}]
    assert not len(problems)


def test_three_dashes_inside_a_block_of_text_are_text() -> None:
    documents, _ = read("a: |\n  ---\n  b\n")

    assert documents == [{"a": "---\nb\n"}]


def test_aliases_and_merge_keys_are_resolved() -> None:
    documents, problems = read("base: &base {a: 1, b: 2}\nmore:\n  <<: *base\n  b: 3\nlist: [*base]\n")

    assert documents == [{"base": {"a": 1, "b": 2}, "more": {"a": 1, "b": 3}, "list": [{"a": 1, "b": 2}]}]
    assert not len(problems)


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    documents, problems = read("\n".join(lines))

    assert [problem.code for problem in problems] == ["SBX0005"]
    assert documents == []


def test_json_is_yaml() -> None:
    documents, _ = read('{\n\t"a": [1, true, null, "b\\/c"]\n}')

    assert documents == [{"a": [1, True, None, "b/c"]}]


def test_keys_values_and_items_know_their_places() -> None:
    documents, _ = read("# first\n---\nspec:\n  hosts:\n  - a\n  - b\n  port: 80\n")
    spec = documents[0]["spec"]

    assert isinstance(spec, YamlMapping)
    assert spec.line_column == (3, 3)  # counted from the line of the three dashes
    assert spec.key_line_column("port") == (6, 3)
    assert spec.value_line_column("port") == (6, 9)
    hosts = spec["hosts"]
    assert isinstance(hosts, YamlSequence)
    assert hosts.item_line_column(1) == (5, 5)


def test_yaml_inside_a_literal_block_keeps_the_lines_of_the_file() -> None:
    text = "data:\n  mesh: |-\n    a: 1\n    b: 2\n"
    source = block_source(Source("a.yaml", 10), text, 2, 9)

    assert source.span(2, 1) == Span("a.yaml", 13, 5)


def test_yaml_inside_a_quoted_text_points_to_the_text() -> None:
    source = block_source(Source("a.yaml"), 'mesh: "a: 1\\nb: 2"\n', 1, 7)

    assert source.span(2, 1) == Span("a.yaml", 1, 7)


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"a: \xc3\xa9", "a: é"), (b"\xef\xbb\xbfa: b", "a: b"), (b"\xff\xfea\x00", "a"), (b"\xfe\xff\x00a", "a")],
    ids=["utf-8", "utf-8 with mark", "utf-16 little", "utf-16 big"],
)
def test_bytes_become_text(data: bytes, text: str) -> None:
    problems = Problems()

    assert decode_text("a.yaml", data, problems) == text
    assert not len(problems)


def test_bytes_that_are_no_text_are_reported_with_their_place() -> None:
    problems = Problems()

    assert decode_text("a.yaml", b"a: b\nc: \xff\xff\n", problems) is None
    assert [(problem.code, problem.span) for problem in problems] == [("SBX0001", Span("a.yaml", 2, 4))]


@given(st.text(max_size=200))
def test_no_text_crashes_the_reader(text: str) -> None:
    _, problems = read(text)

    for problem in problems:
        render(problem, {"a.yaml": text}).encode()


@given(st.lists(st.sampled_from([*"{}[]:-,'\"&*!|>%@#?~ \n\t", "a", "<<", "!!int", "---\n", "\ud800"]), max_size=60))
def test_no_punctuation_crashes_the_reader(parts: list[str]) -> None:
    text = "".join(parts)
    _, problems = read(text)

    for problem in problems:
        render(problem, {"a.yaml": text}).encode()


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    problems = Problems()
    text = decode_text("a.yaml", data, problems)

    assert (text is None) == bool(len(problems))
