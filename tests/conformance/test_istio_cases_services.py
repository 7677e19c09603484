"""Istio's own tests of services: from ServiceEntries, as a Sidecar sees them, with addresses, in the name table."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from sandbox.compiler.delegates import merge_delegate
from sandbox.compiler.legacy_auto_allocation import allocate_by_hash
from sandbox.compiler.name_tables import build_name_table
from sandbox.compiler.push_context import PushContext
from sandbox.compiler.services import Service
from sandbox.compiler.sidecar_imports import sidecar_scope
from sandbox.istio.http_route import HTTPRoute
from sandbox.istio.load import load_texts
from sandbox.yaml_source.problems import Problems

from .istio_cases import model_service, proxy, push_context, read_cases
from .ratchet import NotApplicable, compare_with_list, run_case

CONVERSIONS = read_cases("serviceentry_conversion")
SCOPES = read_cases("sidecar_scope_and_delegates")
NAME_TABLES = read_cases("dns_name_table")
ALLOCATIONS = read_cases("dns_auto_allocation")

pytestmark = pytest.mark.skipif(not CONVERSIONS, reason="the case files do not lie beside the checkout")

NAMESPACE = "mynamespace"

NOT_OURS = {
    "name_table_test/TestNameTable/publish unready headless service with unhealthy pods": "the case lacks endpoints",
    "serviceentry_controller_test/Test_autoAllocateIP_with_duplicated_host": (
        "the case repeats all hosts, Istio's test only one of them"
    ),
    "ipallocate_test/TestIPAllocate": "freed addresses are used again at once here: nothing is kept between loads",
}


# ---- ServiceEntry to services


def _check_conversion(case: dict[str, Any]) -> None:
    push = push_context(case)
    actual = sorted((_facts(service) for service in push.services()), key=str)
    expected = sorted((_expected_facts(entry) for entry in case["expect"]["services"]), key=str)
    assert actual == expected, f"{actual} instead of {expected}"


def _facts(service: Service) -> dict[str, Any]:
    return {
        "host": service.host,
        "address": service.default_address,
        "ports": [(port.name, port.number, port.protocol.value.lower()) for port in service.ports],
        "external": service.mesh_external,
        "resolution": service.resolution.value,
        "accounts": sorted(service.service_accounts),
        "from": f"{service.namespace}/{service.object_name}",
    }


def _expected_facts(entry: dict[str, Any]) -> dict[str, Any]:
    address = entry["addresses"][0]
    ports = [(port["name"], port["port"], port["protocol_from_name"]) for port in entry["ports"]]
    return {
        "host": entry["hostname"],
        "address": address,
        "ports": ports,
        "external": entry["mesh_external"],
        "resolution": entry["resolution"],
        "accounts": sorted(entry["service_accounts"]),
        "from": entry["from"],
    }


# ---- what a Sidecar shows


def _check_scope(case: dict[str, Any]) -> None:
    rules = SCOPES[0]["destination_rules"]
    config = "\n---\n".join(text for text in (case["config"], rules) if text)
    prepared = {**case, "config": config}
    push, node = push_context(prepared), proxy(prepared)
    sidecars = push.configuration.resources("Sidecar")
    scope = sidecar_scope(push, sidecars[0] if sidecars else None, NAMESPACE)
    if any(not entry["ports"] for entry in case["services"]) and "sourceNamespace" in case["config"]:
        raise NotApplicable("services without any port")
    actual = sorted(_shown(service) for service in scope.services)
    expected = sorted(_wanted(entry) for entry in case["expect"]["visible_services"])
    assert actual == expected, f"{actual} instead of {expected}"
    wanted = case["expect"].get("destination_rule_for_httpbin.org")
    if wanted is not None:
        rule = scope.destination_rule(node, "httpbin.org")
        assert rule is not None
        assert rule.rule.name == wanted["name"], f"{rule.rule.name} instead of {wanted['name']}"


def _shown(service: Service) -> tuple[Any, ...]:
    return service.host, service.namespace, tuple((port.number, port.name) for port in service.ports)


def _wanted(entry: dict[str, Any]) -> tuple[Any, ...]:
    ports = tuple((port["port"], port["name"]) for port in entry["ports"])
    return entry["hostname"], entry.get("namespace", ""), ports


def _check_policy(case: dict[str, Any]) -> None:
    push, node = push_context(case), proxy(case)
    policy = push.sidecar_scope(node).outbound_policy
    expected = case["expect"]["outbound_traffic_policy"]
    assert policy is not None
    assert policy.mode == expected.get("mode", "REGISTRY_ONLY"), policy.mode


# ---- delegates


def _rules(http: list[dict[str, Any]]) -> tuple[HTTPRoute, ...]:
    document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "synthesized", "namespace": "default"},
        "spec": {"hosts": ["a.example.com"], "http": http},
    }
    (service,) = load_texts([("rules.yaml", yaml.safe_dump(document))]).resources("VirtualService")
    rules: tuple[HTTPRoute, ...] = service.spec.http
    return rules


def _check_merge(case: dict[str, Any]) -> None:
    (root,) = _rules([case["root_route"]])
    merged = merge_delegate(root, _rules(copy.deepcopy(case["delegate_routes"])), Problems())
    expected = _rules(case["expect"]["merged_routes"] or [])
    assert [_comparable(rule) for rule in merged] == [_comparable(rule) for rule in expected]


def _comparable(rule: HTTPRoute) -> dict[str, Any]:
    names = [name for name in HTTPRoute.__dataclass_fields__ if name not in ("place", "delegate")]
    return {name: getattr(rule, name, None) for name in names if name != "ONEOFS"}


def _check_conflict(case: dict[str, Any]) -> None:
    def one(match: dict[str, Any]) -> HTTPRoute:
        return _rules([{"match": [match], "route": [{"destination": {"host": "a.example.com"}}]}])[0]

    merged = merge_delegate(one(case["root_match"]), [one(case["delegate_match"])], Problems())
    assert (not merged) is case["expect"]["conflict"]


SCOPE_KINDS: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "sidecar_scope": _check_scope,
    "effective_outbound_traffic_policy": _check_policy,
    "delegate_merge": _check_merge,
    "delegate_match_conflict": _check_conflict,
}


# ---- name tables


def _refuse(case: dict[str, Any]) -> None:
    if case["id"] in NOT_OURS:
        raise NotApplicable(NOT_OURS[case["id"]])


def _check_names(case: dict[str, Any]) -> None:
    _refuse(case)
    if any(
        endpoint.get("cluster") not in ("", None, "Kubernetes", "cl1")
        for service in case.get("services") or ()
        for endpoint in service.get("endpoints") or ()
    ):
        raise NotApplicable("several clusters")
    push, node = push_context(case), proxy(case)
    table = build_name_table(push, node, push.sidecar_scope(node))
    actual = {host: sorted(entry.addresses) for host, entry in table.hosts.items()}
    wanted = case["expect"]["name_table"]
    expected = {host: sorted(entry["ips"]) for host, entry in wanted.items()}
    assert actual == expected, f"{actual} instead of {expected}"
    for host, entry in wanted.items():
        found = table.hosts[host]
        if entry.get("registry"):
            assert found.registry == entry["registry"], host


# ---- allocated addresses


def _check_addresses(case: dict[str, Any]) -> None:
    features = (case.get("env") or {}).get("features") or {}
    node = proxy(case)
    if features.get("EnableAmbient") or (node.supports_ipv4 and node.supports_ipv6):
        raise NotApplicable("two IP families at once, or ambient mesh")
    vips = case["service"].get("clusterVIPs") or {}
    if vips and node.metadata.cluster_id not in vips:
        raise NotApplicable("several clusters")
    service = model_service(case["service"], node.metadata.cluster_id)
    expect = case["expect"]
    if "address" in expect:
        assert service.address_for(node) == expect["address"], service.address_for(node)
    if "all_addresses" in expect:
        assert list(service.all_addresses_for(node)) == (expect["all_addresses"] or []), service.all_addresses_for(node)
    if "extra_addresses" in expect:
        actual = list(service.extra_addresses_for(node))
        assert actual == (expect["extra_addresses"] or []), actual


def _check_hashed(case: dict[str, Any]) -> None:
    services = [
        entry
        for entry in case["services"]
        if entry["resolution"] != "NONE"
        and not entry["hostname"].startswith("*")
        and entry.get("defaultAddress", "0.0.0.0") == "0.0.0.0"
    ]
    _refuse(case)
    if "addresses" not in case["expect"]:
        raise NotApplicable("compares two runs of one test; the addresses are those of the first")
    found = allocate_by_hash(f"{entry.get('namespace', '')}/{entry['hostname']}" for entry in services)
    for service, wanted in zip(case["services"], case["expect"]["addresses"], strict=True):
        key = f"{service.get('namespace', '')}/{service['hostname']}"
        actual = found.get(key, ("", "")) if service in services else ("", "")
        assert actual == (wanted["ipv4"], wanted.get("ipv6", actual[1])), f"{key}: {actual} instead of {wanted}"


def _check_all_slots(case: dict[str, Any]) -> None:
    found = allocate_by_hash(f"/foo{number}.com" for number in range(65024))
    addresses = [ipv4 for ipv4, _ in found.values()]
    assert addresses[-1] is not None
    assert found["/foo65023.com"][0] == case["expect"]["last_ipv4"]
    assert len(set(addresses)) == len(addresses)
    assert not set(addresses) & set(case["expect"]["never"])


def _check_sequence(case: dict[str, Any]) -> None:
    """Each step adds or replaces objects; what stands in a status from the step before is kept."""
    _refuse(case)
    objects: dict[str, dict[str, Any]] = {}
    for step in case["steps"]:
        for document in step.get("apply") or ():
            key = f"{document['metadata']['namespace']}/{document['metadata']['name']}"
            status = objects.get(key, {}).get("status")
            objects[key] = {**({"status": status} if status else {}), **copy.deepcopy(document)}
        for key in step.get("delete") or ():
            objects.pop(key, None)
        push = _pushed(case, objects)
        actual = _allocated(push)
        for key, document in objects.items():
            pairs = [(host, text) for host, texts in actual.get(key, {}).items() for text in texts]
            document["status"] = {"addresses": [{"host": host, "value": text} for host, text in pairs]}
        for key, wanted in step["expect"].items():
            if "address_count" in wanted:
                assert sum(map(len, actual.get(key, {}).values())) == wanted["address_count"], step["what"]
                continue
            assert actual.get(key, {}) == wanted, (
                f"line {step.get('line')}: {key}: {actual.get(key)} instead of {wanted}"
            )


def _pushed(case: dict[str, Any], objects: dict[str, dict[str, Any]]) -> PushContext:
    documents = []
    for position, (key, document) in enumerate(objects.items()):
        created = f"2024-01-01T00:00:{position:02d}Z"
        ports = document["spec"].get("ports") or [{"number": 80, "name": "http", "protocol": "HTTP"}]
        documents.append(
            {
                **document,
                "metadata": {**document["metadata"], "creationTimestamp": created, "name": key.partition("/")[2]},
                "spec": {**document["spec"], "ports": ports},
            }
        )
    prefixes = {
        "PILOT_IP_AUTOALLOCATE_IPV4_PREFIX": case["env"]["ipv4_prefix"],
        "PILOT_IP_AUTOALLOCATE_IPV6_PREFIX": case["env"]["ipv6_prefix"],
    }
    operator = {
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "metadata": {"name": "installed", "namespace": "istio-system"},
        "spec": {"values": {"pilot": {"env": prefixes}}},
    }
    return push_context({"config": yaml.safe_dump_all([*documents, operator])})


def _allocated(push: PushContext) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for service in push.services():
        texts = [text for text in (service.auto_allocated_ipv4, service.auto_allocated_ipv6) if text]
        if texts:
            found.setdefault(f"{service.namespace}/{service.object_name}", {})[service.host] = texts
    return found


ALLOCATION_KINDS: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "service_addresses_for_proxy": _check_addresses,
    "legacy_auto_allocate": _check_hashed,
    "legacy_auto_allocate_bulk": _check_all_slots,
    "ip_allocate_sequence": _check_sequence,
}


def test_service_entries_become_services() -> None:
    print(compare_with_list("serviceentry_conversion", [run_case(case, _check_conversion) for case in CONVERSIONS]))


def test_what_sidecars_show_and_delegates_merge() -> None:
    outcomes = [run_case(case, SCOPE_KINDS[case["kind"]]) for case in SCOPES]
    print(compare_with_list("sidecar_scope_and_delegates", outcomes))


def test_name_tables() -> None:
    print(compare_with_list("dns_name_table", [run_case(case, _check_names) for case in NAME_TABLES]))


def test_allocated_addresses() -> None:
    outcomes = [run_case(case, ALLOCATION_KINDS[case["kind"]]) for case in ALLOCATIONS]
    print(compare_with_list("dns_auto_allocation", outcomes))
