"""Problems: order, excerpts, suggestions, and a sentence for every code."""

from __future__ import annotations

import pytest

from sandbox.yaml_source.codes import CODES
from sandbox.yaml_source.problems import Problems, did_you_mean, render
from sandbox.yaml_source.span import Origin, ResourceRef, Span

CAPITALISED = ("YAML", "VirtualService", "Envoy", "RE2")
"""Proper names with which a sentence may begin."""


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("prefx", ["exact", "prefix", "regex"], "prefix"),
        ("export_to", ["exportTo", "hosts"], "exportTo"),
        ("EXPORTTO", ["exportTo", "hosts"], "exportTo"),
        ("TLSV1-2", ["TLSV1_2", "TLSV1_3"], "TLSV1_2"),
        ("destinatoin", ["destination", "weight"], "destination"),
        ("xyz", ["exact", "prefix"], ""),
    ],
)
def test_a_misspelt_word_finds_its_neighbour(word: str, known: list[str], meant: str) -> None:
    assert did_you_mean(word, known) == meant


@pytest.mark.parametrize(
    ("namespace", "name", "shown"),
    [
        pytest.param("shop", "web", "Pod shop/web", id="namespaced"),
        pytest.param("", "web", "Pod web", id="of the whole cluster"),
        pytest.param("", "", "Pod", id="without a name"),
    ],
)
def test_an_object_is_told_as_kubectl_names_it(namespace: str, name: str, shown: str) -> None:
    assert str(ResourceRef("Pod", namespace, name)) == shown


def test_a_problem_shows_its_line_its_object_and_what_would_be_right() -> None:
    problems = Problems()
    origin = Origin(
        ResourceRef("VirtualService", "default", "openai"), "spec.http[0].match[0].uri", Span("a.yaml", 2, 9)
    )
    problems.report("SBX0101", "unknown field prefx in StringMatch", origin, hint="did you mean prefix?")

    assert render(next(iter(problems)), {"a.yaml": "match:\n        prefx: /v1\n"}).splitlines() == [
        "a.yaml:2:9: error SBX0101: unknown field prefx in StringMatch",
        "    2 |         prefx: /v1",
        "      |         ^",
        "   in VirtualService default/openai, spec.http[0].match[0].uri",
        "   hint: did you mean prefix?",
    ]


def test_a_long_line_is_cut_around_the_caret() -> None:
    problems = Problems()
    problems.at("SBX0002", "not YAML", Span("a.yaml", 1, 500))

    excerpt, caret = render(next(iter(problems)), {"a.yaml": "x" * 499 + "!" + "x" * 500}).splitlines()[1:]

    assert len(excerpt) < 120
    assert excerpt[caret.index("^")] == "!"


def test_problems_sort_by_place_and_those_without_one_come_first() -> None:
    problems = Problems()
    problems.at("SBX0002", "second", Span("b.yaml", 1, 1))
    problems.at("SBX0002", "first", Span("a.yaml", 9, 1))
    problems.report("SBX0203", "nowhere", None)

    assert [problem.message for problem in problems.sorted()] == ["nowhere", "first", "second"]


def test_every_code_has_a_sentence_in_lower_case_without_a_full_stop() -> None:
    for code, (severity, sentence) in CODES.items():
        assert severity in ("error", "warning", "info"), code
        assert sentence, code
        first = sentence.split()[0]
        assert first[0].islower() or first in CAPITALISED, code
        assert not sentence.endswith("."), code
