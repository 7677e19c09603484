"""Istio's table tests of host names (``cases/istio/host_names.json``)."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.compiler.host_names import intersection, matches, names_for_namespace, specificity, subset_of

from .istio_cases import read_cases
from .ratchet import NotApplicable, compare_with_list, run_case

CASES = read_cases("host_names")

pytestmark = pytest.mark.skipif(not CASES, reason="the case files do not lie beside the checkout")


def _check(case: dict[str, Any]) -> None:
    expect = case["expect"]
    match case["kind"]:
        case "host_matches":
            actual: Any = matches(case["a"], case["b"])
        case "host_subset_of":
            actual = subset_of(case["a"], case["b"])
        case "hosts_intersection":
            actual, expect = sorted(intersection(case["a"], case["b"])), sorted(expect or case["intersection"] or ())
        case "host_more_specific":
            if not case["host1"] and not case["host2"]:
                raise NotApplicable("two empty names: Istio's own comment is that the answer does not matter")
            actual = specificity(case["host1"]) < specificity(case["host2"])
        case "hosts_sort_order":
            actual = sorted(case["in"], key=specificity)
        case "hosts_for_namespace":
            actual, expect = list(names_for_namespace(case["hosts"], case["namespace"])), expect or []
        case kind:
            raise AssertionError(f"unknown kind {kind}")
    assert actual == expect, f"{actual} instead of {expect}"


def test_relations_of_host_names() -> None:
    print(compare_with_list("host_names", [run_case(case, _check) for case in CASES]))
