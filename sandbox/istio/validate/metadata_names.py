"""Names and labels that the API server takes.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names and .../labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from sandbox.istio.resource import ObjectMeta, Resource
from sandbox.yaml_source.problems import Problem
from sandbox.yaml_source.span import Origin

_DNS_LABEL: Final = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_LABEL: Final = re.compile(_DNS_LABEL)
_SUBDOMAIN: Final = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_NAME_RULE: Final = "small letters, digits, - and . alone, with a letter or digit at either end"
_LABEL_RULE: Final = "at most 63 letters, digits, -, _ and ., with a letter or digit at either end"
_LONGEST: Final = 253


def metadata_problems(resource: Resource[Any]) -> Iterator[Problem]:
    """What of an object's name, namespace and labels the API server refuses."""
    metadata: ObjectMeta = resource.metadata
    if metadata.name and not _is_subdomain(metadata.name):
        yield _problem(f"{metadata.name!r} is no name of an object", metadata.origin_of("name"), _NAME_RULE)
    if metadata.namespace and not _LABEL.fullmatch(metadata.namespace):
        rule = _NAME_RULE.replace(" and .", "").replace(", digits, -", ", digits and -")
        yield _problem(f"{metadata.namespace!r} is no name of a namespace", metadata.origin_of("namespace"), rule)
    for key, value in metadata.labels.items():
        prefix, slash, name = key.rpartition("/")
        if (slash and not _is_subdomain(prefix)) or not name or not _VALUE.fullmatch(name):
            yield _problem(f"{key!r} is no name of a label", metadata.origin_of("labels", key), _LABEL_RULE)
        elif not _VALUE.fullmatch(value):
            yield _problem(f"{value!r} is no value of a label", metadata.origin_of("labels", key), _LABEL_RULE)


def _is_subdomain(name: str) -> bool:
    return len(name) <= _LONGEST and _SUBDOMAIN.fullmatch(name) is not None


def _problem(message: str, origin: Origin, rule: str) -> Problem:
    return Problem(
        code="SBX0302",
        severity="error",
        message=message,
        span=origin.span,
        path=origin.path,
        resource=origin.resource,
        hint=rule,
        layer="schema",
    )
