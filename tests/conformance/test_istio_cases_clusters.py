"""Istio's own tests of clusters: dynamic DNS, upstream TLS, priorities; and a few shapes of listeners."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from sandbox.envoy_config.codec import encode

from .go_paths import same
from .istio_cases import compile_case, read_cases
from .ratchet import NotApplicable, compare_with_list, run_case

DYNAMIC = read_cases("core_dynamic_dns_clusters")
UPSTREAM_TLS = read_cases("core_upstream_tls")
MISCELLANEOUS = read_cases("core_misc")

pytestmark = pytest.mark.skipif(not DYNAMIC, reason="the case files do not lie beside the checkout")

Json = Any
DYNAMIC_FORWARD_PROXY = "envoy.clusters.dynamic_forward_proxy"
TLS_SOCKET = "envoy.transport_sockets.tls"
HOST = "foo.example.com"
PORT = 8080


def _clusters(case: dict[str, Any], extra: str = "") -> dict[str, Json]:
    return {name: encode(cluster) for name, cluster in compile_case(case, extra).plan.clusters.items()}


def _check_dynamic(case: dict[str, Any]) -> None:
    expect = case["expect"]
    cluster = _clusters(case).get(expect["cluster"])
    assert (cluster is not None) is expect["exists"]
    if cluster is None:
        return
    if expect.get("type") == "dynamic_forward_proxy":
        assert cluster["cluster_type"]["name"] == DYNAMIC_FORWARD_PROXY, cluster["cluster_type"]
        config = cluster["cluster_type"]["typed_config"]
        assert "dns_cache" not in expect or same(expect["dns_cache"], config["dns_cache_config"]), config
        if "allow_insecure_cluster_options" in expect:
            assert bool(config.get("allow_insecure_cluster_options")) is expect["allow_insecure_cluster_options"]
    if "lb_policy" in expect:
        assert cluster["lb_policy"] == expect["lb_policy"]
    if "tls" in expect:
        assert cluster["transport_socket"]["name"] == expect["tls"]["transport_socket"]


def _service_entry(case: dict[str, Any]) -> dict[str, Any]:
    accounts = (case.get("options") or {}).get("serviceAccounts")
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "foo", "namespace": "default"},
        "spec": {
            "hosts": [HOST],
            "ports": [{"number": PORT, "name": "http", "protocol": "HTTP2" if case["h2"] else "HTTP"}],
            "resolution": "STATIC",
            "location": "MESH_EXTERNAL" if accounts else "MESH_INTERNAL",
            "endpoints": [{"address": "10.0.0.1", "labels": {"security.istio.io/tlsMode": "istio"}}],
            **({"subjectAltNames": accounts} if accounts else {}),
        },
    }


def _tls_cluster(case: dict[str, Any], tls: dict[str, Any] | None) -> Json:
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "tls", "namespace": "default"},
        "spec": {"host": HOST, "trafficPolicy": {"tls": tls}},
    }
    if (case.get("options") or {}).get("isDrWithSelector"):
        rule["spec"]["workloadSelector"] = {"matchLabels": {"app": "foo"}}  # type: ignore[index]
    documents = [_service_entry(case), *([rule] if tls is not None else [])]
    detail = {"type": case["proxy"], "configNamespace": "default", "labels": {"app": "foo"}}
    return _clusters({"config": yaml.safe_dump_all(documents), "proxy_detail": detail})[f"outbound|{PORT}||{HOST}"]


def _check_context(case: dict[str, Any]) -> None:
    expect = case["expect"]
    if "auto_sni" in expect and case["tls"] is None:
        raise NotApplicable("a call of a helper that no configuration makes")
    socket = _tls_cluster(case, case["tls"]).get("transport_socket")
    if expect["tls_context"] is None or expect["error"]:
        assert socket is None, socket
        return
    assert socket is not None, "plain text"
    context, wanted = socket["typed_config"], expect["tls_context"]
    common = context["common_tls_context"]
    sni = wanted["sni"] if wanted["sni"] else context.get("sni", "")
    if case["tls"]["mode"] != "ISTIO_MUTUAL" or case["tls"].get("sni"):
        assert context.get("sni", "") == sni, context.get("sni")
    secrets = [entry["name"] for entry in common.get("tls_certificate_sds_secret_configs", [])]
    assert secrets == wanted["client_certificate_sds"], secrets
    alpn = ["h2"] if wanted["alpn"] == "pm.ALPNH2Only" else wanted["alpn"]
    assert (common.get("alpn_protocols") or None) == (alpn or None), common.get("alpn_protocols")
    combined = common.get("combined_validation_context") or {}
    if wanted.get("ca_sds"):
        assert combined["validation_context_sds_secret_config"]["name"] == wanted["ca_sds"], combined
        names = combined.get("default_validation_context", {}).get("match_subject_alt_names") or []
        assert same(wanted["match_subject_alt_names"] or [], names), names


def _check_socket(case: dict[str, Any]) -> None:
    if case["cluster_type"] != "EDS":
        raise NotApplicable("a call of a helper with a cluster type of its own")
    automatic = case["mtls_context"] == "autoDetected"
    if automatic and case["tls"] is not None and case["tls"]["mode"] != "ISTIO_MUTUAL":
        raise NotApplicable("istiod never chooses anything else by itself")
    cluster = _tls_cluster(case, None if automatic else case["tls"])
    expect = case["expect"]
    if case["mtls_context"] == "userSupplied" and case["tls"] is None:
        cluster = _tls_cluster(case, {"mode": "DISABLE"})
    assert ("transport_socket" in cluster) is expect["transport_socket"]
    assert bool(cluster.get("transport_socket_matches")) is expect["transport_socket_match"]


def _check_tls(case: dict[str, Any]) -> None:
    (_check_context if case["kind"] == "upstream_tls" else _check_socket)(case)


def _check_miscellaneous(case: dict[str, Any]) -> None:
    kind, expect = case["kind"], case["expect"]
    if kind == "gateway_sds":
        raise NotApplicable("secrets of an external SDS server")
    if kind == "cluster_priorities":
        _check_priorities(case)
        return
    listeners = [encode(entry) for entry in compile_case(case).plan.listeners]
    found = [entry for entry in listeners if entry["address"]["socket_address"]["port_value"] == PORT]
    if "listeners_on_port_8080_at_least" in expect:
        assert len(found) >= expect["listeners_on_port_8080_at_least"], len(found)
        return
    (listener,) = found
    chains = [chain for chain in listener["filter_chains"] if chain.get("filter_chain_match", {}).get("prefix_ranges")]
    assert len(chains) == expect["filter_chains_with_prefix_ranges"]
    assert "default_filter_chain" in listener


def _check_priorities(case: dict[str, Any]) -> None:
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "failover", "namespace": "default"},
        "spec": {"host": "dns-service.example.org", "trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 1}}},
    }
    cluster = _clusters(case, yaml.safe_dump(rule))[case["expect"]["cluster"]]
    assert cluster["type"] == case["expect"]["type"]
    actual = [
        {"endpoints": [_address(endpoint) for endpoint in group["lb_endpoints"]], "priority": group.get("priority", 0)}
        for group in cluster["load_assignment"]["endpoints"]
    ]
    assert actual == case["expect"]["after_failover_priority"], actual


def _address(endpoint: Json) -> str:
    return str(endpoint["endpoint"]["address"]["socket_address"]["address"])


def test_dynamic_dns_clusters() -> None:
    print(compare_with_list("core_dynamic_dns_clusters", [run_case(case, _check_dynamic) for case in DYNAMIC]))


def test_upstream_tls() -> None:
    print(compare_with_list("core_upstream_tls", [run_case(case, _check_tls) for case in UPSTREAM_TLS]))


def test_priorities_and_listener_shapes() -> None:
    print(compare_with_list("core_misc", [run_case(case, _check_miscellaneous) for case in MISCELLANEOUS]))
