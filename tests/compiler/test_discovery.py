from __future__ import annotations

import pytest

from .nodes import compiled, manifest
from .sidecars import mesh

ENTRY = "hosts: [a.example]\nports: [{number: 80, name: http, protocol: HTTP}]\nresolution: DNS"
SHOP = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: core}}\n"


# Istio pkg/kube/namespace/filter.go: an object is seen when any selector picks its namespace.
@pytest.mark.parametrize(
    ("selectors", "seen"),
    [
        ("[{matchLabels: {team: core}}]", True),
        ("[{matchLabels: {team: edge}}]", False),
        ("[{matchLabels: {team: edge}}, {matchExpressions: [{key: team, operator: Exists}]}]", True),
        ("[{matchLabels: {kubernetes.io/metadata.name: shop}}]", True),
        ("[{matchExpressions: [{key: team, operator: NotIn, values: [core]}]}]", False),
    ],
)
def test_objects_of_namespaces_that_no_selector_picks_are_ignored_and_that_is_told(selectors: str, seen: bool) -> None:
    node = compiled(SHOP, mesh(f"discoverySelectors: {selectors}"), manifest("ServiceEntry", "a", ENTRY, "shop"))

    assert ("outbound|80||a.example" in node.plan.clusters) is seen
    assert node.codes == ([] if seen else ["SBX0407"])


def test_a_namespace_that_no_file_describes_counts_as_picked() -> None:
    node = compiled(mesh("discoverySelectors: [{matchLabels: {team: core}}]"), manifest("ServiceEntry", "a", ENTRY))

    assert "outbound|80||a.example" in node.plan.clusters
