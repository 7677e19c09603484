"""Which endpoints a service prefers by its own word (Istio pilot/pkg/model/service.go ``GetTrafficDistribution``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.compiler.services import TrafficDistribution

_ANNOTATION: Final = "networking.istio.io/traffic-distribution"
_WORDS: Final = {
    "PreferClose": TrafficDistribution.PREFER_SAME_ZONE,
    "PreferSameZone": TrafficDistribution.PREFER_SAME_ZONE,
    "PreferSameNode": TrafficDistribution.PREFER_SAME_NODE,
}
_ANY_CASE: Final = {word.lower(): distribution for word, distribution in _WORDS.items()}


def traffic_distribution(
    field: str, annotations: Mapping[str, str], namespace_annotations: Mapping[str, str]
) -> TrafficDistribution:
    """The service's field, else its annotation, else its namespace's; an unknown word in an annotation is Any."""
    if field in _WORDS:
        return _WORDS[field]
    word = annotations.get(_ANNOTATION) or namespace_annotations.get(_ANNOTATION, "")
    return _ANY_CASE.get(word.lower(), TrafficDistribution.ANY)
