"""``egress validate`` on objects with a real istiod's verdict, and on Istio's own validation tests."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.istio.load import load_texts
from sandbox.istio.selector import WorkloadSelector
from sandbox.istio.validate import ObjectVerdict, validate_configuration
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.headers import match_name_fault, strict_name_fault
from sandbox.istio.validate.http_actions import http_status_fault
from sandbox.istio.validate.primitives import port_name_fault
from sandbox.istio.validate.shared import check_export_to

from .istio_cases import CASES, read_cases
from .ratchet import NotApplicable, compare_with_list, run_case

pytestmark = pytest.mark.skipif(not CASES.exists(), reason="the case files do not lie beside the checkout")

WHOLE_OBJECTS = (
    "validation_mutations",
    "validation_serviceentry",
    "validation_virtualservice",
    "validation_gateway",
    "validation_sidecar",
    "validation_destinationrule",
    "validation_crd_and_dataset",
)
SCALARS: dict[str, Callable[[Any], str | None]] = {
    "http_header_name_strict": strict_name_fault,
    "http_header_name_or_jwt_claim": match_name_fault,
    "http_status": http_status_fault,
    "port_name": port_name_fault,
}
REPEATED = re.compile(r"<<repeat a x ([0-9]+)>>")
BYTES = re.compile(r"\bbytes: '?([a-z]+)'?")
NOT_WRITTEN_AS_YAML = {
    "null header match": "a Go nil, which YAML cannot write: null becomes an empty message",
    "serviceentry-valid.yaml/full": "an unquoted address that ends in colons, which YAML reads as a mapping",
}


def _check_object(case: dict[str, Any]) -> None:
    reason = next((why for part, why in NOT_WRITTEN_AS_YAML.items() if part in case["id"]), None)
    if reason is not None:
        raise NotApplicable(reason)
    verdicts = validate_configuration(load_texts([("case.yaml", _text(case))]))
    assert len(verdicts) == 1, "one object, one verdict"
    verdict, expected = verdicts[0], case["expect"]
    if "verdict" in expected:
        assert verdict.verdict == expected["verdict"], f"{verdict.verdict} instead of {expected['verdict']}"
        return
    accepted = verdict.verdict != "error" and not ("layer" in case and _refused_by_schema(verdict))
    assert accepted == expected["valid"], [str(problem) for problem in verdict.problems]
    if expected["valid"] and "warning" in expected:
        assert (verdict.verdict == "warning") == bool(expected["warning"]), verdict.verdict


def _text(case: dict[str, Any]) -> str:
    """The case as it would be written: a Go test's bytes are base64 in YAML, its long texts are told by length."""
    if "yaml" in case:
        return str(case["yaml"])
    text = REPEATED.sub(lambda match: "a" * int(match[1]), case["config"])
    return BYTES.sub(lambda match: f"bytes: {base64.b64encode(match[1].encode()).decode()}", text)


def _refused_by_schema(verdict: ObjectVerdict) -> bool:
    return any(problem.severity == "error" and problem.layer == "schema" for problem in verdict.problems)


def _check_scalar(case: dict[str, Any]) -> None:
    if case["kind"] == "exportTo":
        findings = Findings()
        check_export_to(
            case["namespace"],
            case["value"] or (),
            WorkloadSelector(),
            findings,
            service_entry=case["is_service_entry"],
            with_selector=case["is_destination_rule_with_selector"],
        )
        valid = findings.verdict == "valid"
    else:
        valid = SCALARS[case["kind"]](case["value"]) is None
    assert valid == case["expect"]["valid"]


@pytest.mark.parametrize("name", WHOLE_OBJECTS)
def test_the_verdict_is_istiods(name: str) -> None:
    print(name, compare_with_list(name, [run_case(case, _check_object) for case in read_cases(name)]))


def test_single_values_are_judged_as_istiod_judges_them() -> None:
    name = "validation_misc"
    print(name, compare_with_list(name, [run_case(case, _check_scalar) for case in read_cases(name)]))
