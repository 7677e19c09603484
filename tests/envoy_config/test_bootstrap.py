"""The bootstrap for a real Envoy: what Istio starts every proxy with, besides the plan."""

from __future__ import annotations

import pytest

from sandbox.envoy_config.bootstrap import ISTIO_RUNTIME, bootstrap, runtime
from sandbox.plan import NodePlan
from sandbox.plan.cluster import Cluster

FRAGMENTS = "envoy.reloadable_features.http_reject_path_with_fragment"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({}, False, id="Istio's own"),
        pytest.param({FRAGMENTS: "true"}, True, id="of ProxyConfig"),
        pytest.param({FRAGMENTS: ""}, None, id="taken away"),
    ],
)
def test_the_runtime_is_istios_unless_runtime_values_say_otherwise(
    values: dict[str, str], expected: bool | None
) -> None:
    assert runtime(values).get(FRAGMENTS) == expected


def test_a_bootstrap_has_the_runtime_and_the_clusters_names_in_statistics() -> None:
    made = bootstrap(NodePlan(node_type="sidecar", workload="a/b", clusters={"x": Cluster(name="x")}), lambda _: None)
    assert made["layered_runtime"] == {"layers": [{"name": "global config", "static_layer": dict(ISTIO_RUNTIME)}]}
    resources = made["static_resources"]
    assert isinstance(resources, dict)
    assert [cluster["alt_stat_name"] for cluster in resources["clusters"]] == ["x;"]
