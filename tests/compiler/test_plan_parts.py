"""What a reload makes again, and what it takes over."""

from __future__ import annotations

import pytest

from sandbox.istio.load_cache import LoadCache
from sandbox.plan.listener import Listener, TcpProxy

from .nodes import Compiled, compiled, manifest
from .sidecars import mesh, service_entry, virtual_service

ENTRIES = (
    service_entry("one.example", "80/HTTP", "443/TLS", "9000/TCP"),
    service_entry("two.example", "80/HTTP", "443/TLS"),
)
ROUTES = virtual_service(
    "v", "hosts: [one.example]\nhttp: [{timeout: 3s, route: [{destination: {host: one.example}}]}]"
)
OTHERS = virtual_service(
    "w", "hosts: [two.example]\nhttp: [{timeout: 3s, route: [{destination: {host: two.example}}]}]"
)


def _listener(node: Compiled, name: str) -> Listener:
    return next(listener for listener in node.plan.listeners if listener.name == name)


def _route(node: Compiled, host: str) -> object:
    table = node.plan.route_configurations["80"]
    return next(item for item in table.virtual_hosts if item.name == f"{host}:80").routes[0]


def test_a_changed_virtual_service_leaves_services_listeners_and_other_routes_alone() -> None:
    cache = LoadCache()
    before = compiled(*ENTRIES, ROUTES, OTHERS, cache=cache)
    after = compiled(*ENTRIES, ROUTES.replace("3s", "4s"), OTHERS, cache=cache, previous=before)

    assert after.push.registry is before.push.registry
    assert _listener(after, "0.0.0.0_443") is _listener(before, "0.0.0.0_443")
    assert _route(after, "two.example") is _route(before, "two.example")
    assert _route(after, "one.example") == _route(compiled(*ENTRIES, ROUTES.replace("3s", "4s")), "one.example")


def test_a_changed_entry_leaves_the_listeners_of_other_ports_alone() -> None:
    cache = LoadCache()
    before = compiled(*ENTRIES, ROUTES, cache=cache)
    after = compiled(ENTRIES[0], ENTRIES[1].replace("443", "444"), ROUTES, cache=cache, previous=before)

    assert _listener(after, "0.0.0.0_9000") is _listener(before, "0.0.0.0_9000")
    assert _listener(after, "0.0.0.0_443") != _listener(before, "0.0.0.0_443")
    assert _route(after, "one.example") is _route(before, "one.example")


@pytest.mark.parametrize(
    "more",
    [
        mesh("accessLogFile: /dev/stdout"),
        mesh("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"),
        mesh("enableTracing: false"),
        manifest("Sidecar", "s", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"),
        manifest("DestinationRule", "d", "host: one.example\ntrafficPolicy: {tunnel: {targetHost: p, targetPort: 1}}"),
        manifest(
            "DestinationRule",
            "h",
            "host: one.example\ntrafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x}}}",
        ),
        service_entry("three.example", "443/TLS"),
        service_entry("one.example", "81/HTTP"),
        virtual_service(
            "t",
            "hosts: [one.example]\n"
            "tls: [{match: [{sniHosts: [one.example]}], route: [{destination: {host: two.example}}]}]",
        ),
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: t, namespace: default}\n"
        "spec: {accessLogging: [{providers: [{name: envoy}]}]}\n",
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n"
        "spec: {values: {pilot: {env: {PILOT_HTTP10: 'true'}}}}\n",
    ],
    ids=[
        "log",
        "policy of the mesh",
        "tracing",
        "Sidecar",
        "tunnel",
        "hash",
        "another service",
        "another port",
        "TLS routes",
        "Telemetry",
        "feature",
    ],
)
def test_whatever_changes_a_reload_ends_where_a_fresh_start_does(more: str) -> None:
    cache = LoadCache()
    before = compiled(*ENTRIES, ROUTES, OTHERS, cache=cache)
    there = compiled(*ENTRIES, ROUTES, OTHERS, more, cache=cache, previous=before)
    back = compiled(*ENTRIES, ROUTES, OTHERS, cache=cache, previous=there)

    assert there.plan == compiled(*ENTRIES, ROUTES, OTHERS, more).plan
    assert back.plan == before.plan
    assert there.codes == compiled(*ENTRIES, ROUTES, OTHERS, more).codes


def test_lines_of_the_mesh_follow_the_file() -> None:
    cache = LoadCache()
    settings = mesh("accessLogFile: /dev/stdout")
    before = compiled(*ENTRIES, settings, cache=cache)
    after = compiled(*ENTRIES, "# a line\n" + settings, cache=cache, previous=before)

    assert [_line_of_log(node) for node in (before, after)] == ["3.yaml:6", "3.yaml:7"]


def _line_of_log(node: Compiled) -> str:
    config = _listener(node, "0.0.0.0_9000").filter_chains[0].filters[-1].typed_config
    assert isinstance(config, TcpProxy)
    return str(config.access_log[0].because[0].origin)
