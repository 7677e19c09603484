"""Istio's own tests of outbound listeners and TCP proxies: assertions as data, evaluated on our plan's JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from sandbox.compiler.listener_builder import new_listener_builder
from sandbox.compiler.network_filters import build_routed
from sandbox.compiler.services import ServicePort
from sandbox.envoy_config.codec import encode
from sandbox.plan import NodePlan

from .go_paths import NotUnderstood, Path, Selected, same
from .istio_cases import compile_case, proxy, push_context, read_cases
from .ratchet import NotApplicable, compare_with_list, run_case

LISTENERS = read_cases("core_listeners")
TCP_FILTERS = read_cases("core_tcp_filters")

pytestmark = pytest.mark.skipif(not LISTENERS, reason="the case files do not lie beside the checkout")

Json = Any
MANAGER = "envoy.filters.network.http_connection_manager"
TCP_PROXY = "envoy.filters.network.tcp_proxy"
HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"
DYNAMIC_FORWARD_PROXY = "envoy.filters.http.dynamic_forward_proxy"
SNI_DYNAMIC_FORWARD_PROXY = "envoy.filters.network.sni_dynamic_forward_proxy"

SKIPPED_ASSERTIONS = {
    "ConnectionBalanceConfig": "scheduling in Envoy's threads",
    "virtualInbound": "inbound traffic",
}
"""Single assertions that say nothing of us; the rest of their cases counts."""

NOT_OURS = {
    "isMysqlListener": "the MySQL filter only makes statistics",
    "extension-wasm": "WebAssembly and Lua are not run",
    "port=15006": "inbound traffic",
}


def _filters(chain: Json) -> list[str]:
    return [entry["name"] for entry in (chain or {}).get("filters", [])]


def _typed(chain: Json, name: str) -> Json:
    return next((entry["typed_config"] for entry in (chain or {}).get("filters", []) if entry["name"] == name), None)


FUNCTIONS: Mapping[str, Callable[[Json], Json]] = {
    "len": lambda value: len(value or ()),
    "isHTTPFilterChain": lambda chain: MANAGER in _filters(chain),
    "isTCPFilterChain": lambda chain: TCP_PROXY in _filters(chain),
    "isHTTPListener": lambda listener: any(
        MANAGER in _filters(chain) for chain in (listener or {}).get("filter_chains", [])
    ),
    "tcp_proxy": lambda chain: _typed(chain, TCP_PROXY),
    "hcm": lambda chain: _typed(chain, MANAGER),
    "http_filter_chain": lambda listener: next(
        (chain for chain in listener["filter_chains"] if MANAGER in _filters(chain)), None
    ),
}


def _listeners(plan: NodePlan, case: dict[str, Any]) -> list[Json]:
    """What the Go test looks at: without the capture listeners, unless it asks for those."""
    listeners: list[Json] = [encode(listener) for listener in plan.listeners]
    if "virtual" in str(case["asserts"]) or "listeners[*].AccessLog" in str(case["asserts"]):
        return listeners
    return [listener for listener in listeners if not listener["name"].startswith("virtual")]


def _check_listeners(case: dict[str, Any]) -> None:
    for mark, why in NOT_OURS.items():
        if mark in str(case["asserts"]) + case["config"]:
            raise NotApplicable(why)
    if not case["asserts"] and not case["expect"]:
        raise NotApplicable("the case asserts nothing")
    if len({":" in address for address in case["proxy_detail"]["ipAddresses"]}) > 1:
        raise NotApplicable("proxies with two IP families at once")
    counting = [
        assertion for assertion in case["asserts"] if not any(mark in str(assertion) for mark in SKIPPED_ASSERTIONS)
    ]
    if case["asserts"] and not counting:
        raise NotApplicable("nothing but " + " and ".join(SKIPPED_ASSERTIONS.values()))
    roots = {"listeners": _listeners(compile_case(case).plan, case)}
    for assertion in counting:
        _check(assertion, roots, case)


def _check(assertion: dict[str, Any], roots: dict[str, Json], case: dict[str, Any]) -> None:
    if "kind" in assertion:
        for value in _select(assertion["on"], roots):
            KINDS[assertion["kind"]](value, assertion["args"])
    elif assertion["op"] == "not all of":
        results = [
            [_holds(part["op"], value, part["value"]) for value in _select(part["path"], roots)]
            for part in assertion["of"]
        ]
        assert not any(all(row) for row in zip(*results, strict=True)), assertion
    elif "a" in assertion:
        actual = [str(value) for value in _select(assertion["a"][0]["expr"], roots)]
        assert actual == assertion["b"], f"{actual} instead of {assertion['b']}"
    else:
        _check_path(assertion, roots, case)


def _check_path(assertion: dict[str, Any], roots: dict[str, Json], case: dict[str, Any]) -> None:
    path = assertion["path"]
    if not isinstance(path, str):
        return
    if path.startswith("hasListenerOrFilterChainForPort("):
        number = int(path.partition("(")[2].rstrip(")"))
        assert _has_port(roots["listeners"], number) is assertion["value"], f"{path} is not {assertion['value']}"
        return
    if "UnmarshalTo" in path or path.startswith(("dfpConfig", "sniDFPConfig")):
        _check_dynamic(assertion, roots)
        return
    if path.startswith("strings.HasPrefix("):
        inner, _, prefix = path.removeprefix("strings.HasPrefix(").removesuffix(")").rpartition(", ")
        values = list(_select(inner, roots))
        assert all(str(value).startswith(prefix.strip('"')) for value in values), f"{values}: {path}"
        return
    for index, value in Path(path, FUNCTIONS).select(roots).values:
        if all(_condition(text, roots, index) for text in assertion.get("when", ())):
            assert _holds(assertion["op"], value, assertion["value"]), (
                f"{path} {assertion['op']} {assertion['value']}: {value}"
            )


def _select(path: str, roots: dict[str, Json]) -> list[Json]:
    return [value for _, value in Path(path, FUNCTIONS).select(roots).values]


def _condition(text: str, roots: dict[str, Json], index: tuple[int, ...]) -> bool:
    """A condition holds where its path, at the same indices, compares as said."""
    left, operator, right = text.rpartition(" == " if " == " in text else " != ")
    selected: Selected = Path(left, FUNCTIONS).select(roots)
    wanted: Json = None if right == "nil" else int(right) if right.isdigit() else right.strip('"')
    return any(
        _holds(operator.strip(), value, wanted)
        for place, value in selected.values
        if place[: len(index)] == index[: len(place)]
    )


def _holds(op: str, actual: Json, expected: Json) -> bool:
    match op:
        case "==" | "equal" | "is" | "nil":
            return same(expected, actual)
        case "!=" | "not equal" | "not nil":
            return not same(expected, actual)
        case "contains":
            return expected in (actual or ())
        case "<=":
            return bool(actual <= expected)
        case _:
            raise NotUnderstood(op)


def _has_port(listeners: Iterable[Json], number: int) -> bool:
    for listener in listeners:
        if listener["address"].get("socket_address", {}).get("port_value") == number:
            return True
        if any(
            chain.get("filter_chain_match", {}).get("destination_port") == number for chain in listener["filter_chains"]
        ):
            return True
    return False


def _check_dynamic(assertion: dict[str, Any], roots: dict[str, Json]) -> None:
    """Every dynamic forward proxy's configuration, of HTTP or of SNI."""
    name = SNI_DYNAMIC_FORWARD_PROXY if "sni" in assertion["path"] else DYNAMIC_FORWARD_PROXY
    field = assertion["path"].partition(".")[2]
    for config in _configs(roots["listeners"], name):
        if "UnmarshalTo" not in assertion["path"]:
            (value,) = _select(f"config.{field}", {"config": config})
            assert _holds(assertion["op"], value, assertion["value"]), f"{assertion['path']}: {value}"


def _configs(listeners: Iterable[Json], name: str) -> Iterable[Json]:
    for listener in listeners:
        for chain in [*listener["filter_chains"], listener.get("default_filter_chain") or {}]:
            for entry in chain.get("filters", []):
                inner = entry["typed_config"].get("http_filters", [])
                yield from (item["typed_config"] for item in (entry, *inner) if item["name"] == name)


# ---- Istio's helper functions


def _verify_http_match(chain: Json, _args: list[Json]) -> None:
    match = chain["filter_chain_match"]
    assert match["transport_protocol"] == "raw_buffer"
    assert match["application_protocols"] == ["http/1.1", "h2c"]


def _verify_http_inspector(filters: Json, _args: list[Json]) -> None:
    assert [entry["name"] for entry in filters] == [HTTP_INSPECTOR]


def _verify_hostname(listener: Json, args: list[Json]) -> None:
    (chain,) = listener["filter_chains"]
    assert _typed(chain, TCP_PROXY)["stat_prefix"] == f"outbound|8080||{args[0]}"


def _verify_passthrough(chain: Json, _args: list[Json]) -> None:
    assert _typed(chain, TCP_PROXY)["cluster"] == "PassthroughCluster"


def _verify_chain(chain: Json, args: list[Json]) -> None:
    assert _filters(chain) == args[0]["networkFilters"], _filters(chain)


def _verify_listener(listener: Json, args: list[Json]) -> None:
    wanted = args[0]
    if "filters" in wanted:
        assert [entry["name"] for entry in listener["listener_filters"]] == wanted["filters"]
    for chain, expected in zip(listener["filter_chains"], wanted["filterChains"], strict=True):
        assert chain.get("name") == expected.get("name", chain.get("name"))
        assert set(expected.get("networkFilters", ())) <= set(_filters(chain))
        names = [entry["name"] for entry in (_typed(chain, MANAGER) or {}).get("http_filters", [])]
        assert set(expected.get("hTTPFilters", ())) <= set(names)


def _validate_access_log(listener: Json, args: list[Json]) -> None:
    if not args[0]:
        raise NotApplicable("Istio's test sets the format after the first look")
    chain = next(entry for entry in listener["filter_chains"] if entry["name"] == "virtualOutbound-catchall-tcp")
    (log,) = _typed(chain, TCP_PROXY)["access_log"]
    assert log["typed_config"]["log_format"]["text_format_source"]["inline_string"] == args[0]


KINDS: Mapping[str, Callable[[Json, list[Json]], None]] = {
    "verifyHTTPFilterChainMatch": _verify_http_match,
    "verifyHTTPListenerFilters": _verify_http_inspector,
    "verifyOutboundTCPListenerHostname": _verify_hostname,
    "verifyPassThroughTCPFilterChain": _verify_passthrough,
    "verify_filter_chain": _verify_chain,
    "verify_listener": _verify_listener,
    "validateAccessLog": _validate_access_log,
}


def _check_tcp_proxy(case: dict[str, Any]) -> None:
    """As in Istio's test, the filters are built for the route itself, whatever listener it would stand in."""
    if (case["mesh"] or {}).get("outboundClusterStatName"):
        raise NotApplicable("names of statistics")
    push, node = push_context(case), proxy(case)
    builder = new_listener_builder(push, node, push.sidecar_scope(node))
    services = [entry for entry in push.configuration.resources("VirtualService") if entry.spec.tcp]
    (service,) = services
    rule = service.spec.tcp[0]
    number = rule.match[0].port if rule.match else case["services"][0]["ports"][0]["port"]
    filters = build_routed(builder, rule.route, ServicePort(number=number), service)
    found = next(encode(entry)["typed_config"] for entry in filters if entry.name == TCP_PROXY)
    differences = _tcp_differences(found, case["expect"]["tcp_proxy"])
    assert not differences, differences[0]


def _tcp_differences(found: Json, expect: dict[str, Any]) -> list[str]:
    values = {
        "idle_timeout": found.get("idle_timeout"),
        "tunneling_config": found.get("tunneling_config"),
        "stat_prefix": found.get("stat_prefix"),
        "hash_policy_source_ip": bool(found.get("hash_policy")),
        "max_downstream_connection_duration": found.get("max_downstream_connection_duration"),
    }
    return [
        f"{key}: {values.get(key)} instead of {value}" for key, value in expect.items() if not same(value, values[key])
    ]


def test_outbound_listeners() -> None:
    print(compare_with_list("core_listeners", [run_case(case, _check_listeners) for case in LISTENERS]))


def test_tcp_proxies() -> None:
    print(compare_with_list("core_tcp_filters", [run_case(case, _check_tcp_proxy) for case in TCP_FILTERS]))
