from __future__ import annotations

import json

from sandbox.envoy_config.config_dump import config_dump
from tests.compiler.nodes import compiled
from tests.compiler.sidecars import service_entry

ENTRY = service_entry("a.example", "80/HTTP")
STATIC = service_entry("b.example", "80/HTTP", resolution="STATIC", more="endpoints: [{address: 10.1.1.1}]")


def test_the_sections_are_those_istioctl_reads() -> None:
    sections = {
        section["@type"].rpartition(".")[2]: section for section in config_dump(compiled(ENTRY).plan)["configs"]
    }

    assert list(sections) == [
        "BootstrapConfigDump",
        "ClustersConfigDump",
        "EndpointsConfigDump",
        "ListenersConfigDump",
        "RoutesConfigDump",
    ]
    listener = sections["ListenersConfigDump"]["dynamic_listeners"][0]
    assert listener["name"] == listener["active_state"]["listener"]["name"] == "0.0.0.0_80"


def test_discovered_endpoints_stand_apart_from_their_cluster() -> None:
    dump = config_dump(compiled(STATIC).plan)["configs"]
    cluster = next(
        entry["cluster"]
        for entry in dump[1]["dynamic_active_clusters"]
        if entry["cluster"]["name"].endswith("b.example")
    )
    endpoints = next(
        entry["endpoint_config"]
        for entry in dump[2]["dynamic_endpoint_configs"]
        if entry["endpoint_config"]["cluster_name"].endswith("b.example")
    )

    assert "load_assignment" not in cluster
    assert cluster["eds_cluster_config"]["service_name"] == cluster["name"]
    assert endpoints["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] == {
        "socket_address": {"address": "10.1.1.1", "port_value": 80}
    }


def test_reasons_are_added_on_request_only() -> None:
    plan = compiled(ENTRY).plan

    assert "because" not in json.dumps(config_dump(plan))
    cluster = config_dump(plan, because=True)["configs"][1]["dynamic_active_clusters"][0]["cluster"]
    assert cluster["because"][0] == {"what": "port", "origin": "1.yaml:6"}
    virtual_host = config_dump(plan, because=True)["configs"][4]["dynamic_route_configs"][0]["route_config"][
        "virtual_hosts"
    ][0]
    assert virtual_host["because"]
    assert virtual_host["routes"][0]["because"]
