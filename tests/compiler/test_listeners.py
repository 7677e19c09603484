"""Outbound listeners of a sidecar: where they stand, which chains they have, who wins a conflict."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.plan.base import Pipe, SocketAddress
from sandbox.plan.because import IstioDefault
from sandbox.yaml_source.span import Origin

from .sidecars import CLIENT, criteria, manager, mesh, service_entry, tcp_proxy, told

BLOCK = mesh("outboundTrafficPolicy: {mode: REGISTRY_ONLY}")


def sidecar(spec: str) -> str:
    head = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: own, namespace: default}\nspec:\n"
    return head + spec


def test_a_wildcard_http_port_detects_http_and_passes_the_rest_on() -> None:
    world = told(service_entry("a.example.com", "80/HTTP"))
    http, fallback = world.chains("0.0.0.0_80")
    assert criteria(http) == ("http/1.1", "h2c")
    assert manager(http).rds is not None
    assert fallback.name == "PassthroughFilterChain"
    assert tcp_proxy(fallback).cluster == "PassthroughCluster"
    listener = world.listeners["0.0.0.0_80"]
    assert [item.name for item in listener.listener_filters] == ["envoy.filters.listener.http_inspector"]
    assert listener.listener_filters_timeout == timedelta(0)
    assert listener.bind_to_port is False


def test_under_registry_only_the_fallback_goes_nowhere() -> None:
    world = told(BLOCK, service_entry("a.example.com", "80/HTTP"))
    assert tcp_proxy(world.chains("0.0.0.0_80")[-1]).cluster == "BlackHoleCluster"
    assert tcp_proxy(world.chains("virtualOutbound")[-1]).cluster == "BlackHoleCluster"


def test_virtual_outbound_closes_connections_to_itself_without_a_log_line() -> None:
    world = told(mesh("accessLogFile: /dev/stdout"))
    loop, catch_all = world.chains("virtualOutbound")
    assert (loop.name, tcp_proxy(loop).cluster, tcp_proxy(loop).access_log) == (
        "virtualOutbound-blackhole",
        "BlackHoleCluster",
        (),
    )
    assert loop.filter_chain_match is not None
    assert loop.filter_chain_match.destination_port == 15001
    assert catch_all.name == "virtualOutbound-catchall-tcp"
    assert len(tcp_proxy(catch_all).access_log) == 1
    (log,) = world.listeners["virtualOutbound"].access_log
    assert log.filter is not None
    assert log.filter.response_flag_filter is not None
    assert log.filter.response_flag_filter.flags == ("NR",)


def test_tls_hosts_of_one_wildcard_port_are_told_apart_by_name() -> None:
    world = told(
        service_entry("a.example.com", "443/TLS"), service_entry("*.b.example.com", "443/HTTPS", resolution="NONE")
    )
    assert [(criteria(chain), tcp_proxy(chain).cluster) for chain in world.chains("0.0.0.0_443")] == [
        (("*.b.example.com",), "outbound|443||*.b.example.com"),
        (("a.example.com",), "outbound|443||a.example.com"),
        ((), "PassthroughCluster"),
    ]


def test_a_service_with_an_address_has_a_listener_there_without_server_names() -> None:
    world = told(service_entry("a.example.com", "443/TLS", more="addresses: [192.0.2.7/32]"))
    (chain,) = world.chains("192.0.2.7_443")
    assert chain.filter_chain_match is None
    assert tcp_proxy(chain).cluster == "outbound|443||a.example.com"


def test_a_block_of_addresses_is_matched_on_the_wildcard_listener() -> None:
    world = told(service_entry("a.example.com", "9000/TCP", resolution="NONE", more="addresses: [192.0.2.0/24]"))
    assert criteria(world.chains("0.0.0.0_9000")[0]) == ("192.0.2.0/24",)


def test_of_two_tcp_services_on_one_port_the_older_gets_everything_and_the_other_is_told() -> None:
    world = told(service_entry("b.example.com", "9000/TCP"), service_entry("a.example.com", "9000/TCP"))
    (chain,) = world.chains("0.0.0.0_9000")
    assert tcp_proxy(chain).cluster == "outbound|9000||a.example.com"
    assert world.codes.count("SBX0501") == 1


def test_of_a_crowd_on_one_port_the_rest_is_told_by_its_number() -> None:
    world = told(*(service_entry(f"h{number:02}.example.com", "9000/TCP") for number in range(20)))
    assert world.codes.count("SBX0501") == 11


def test_a_tcp_service_beside_http_becomes_what_everything_else_goes_to() -> None:
    world = told(service_entry("a.example.com", "8080/HTTP"), service_entry("b.example.com", "8080/TCP"))
    http, other = world.chains("0.0.0.0_8080")
    assert criteria(http) == ("http/1.1", "h2c")
    assert tcp_proxy(other).cluster == "outbound|8080||b.example.com"


def test_mongo_shares_its_port_with_nothing_else() -> None:
    world = told(service_entry("a.example.com", "27017/MONGO"), service_entry("b.example.com", "27017/HTTP"))
    (chain,) = world.chains("0.0.0.0_27017")
    assert [item.name for item in chain.filters] == [
        "envoy.filters.network.mongo_proxy",
        "envoy.filters.network.tcp_proxy",
    ]
    assert "SBX0503" in world.codes


def test_a_port_without_protocol_is_detected_and_has_a_table_of_its_own_on_an_address() -> None:
    world = told(
        service_entry(
            "a.example.com",
            "7000/''",
            resolution="STATIC",
            more="addresses: [192.0.2.7]\nendpoints: [{address: 192.0.2.8}]",
        )
    )
    http, tcp = world.chains("192.0.2.7_7000")
    rds = manager(http).rds
    assert rds is not None
    assert rds.route_config_name == "a.example.com:7000"
    assert tcp_proxy(tcp).cluster == "outbound|7000||a.example.com"
    (host,) = world.routes["a.example.com:7000"].virtual_hosts
    assert host.domains == ("*",)


@pytest.mark.parametrize("port", [15001, 15006, 15021, 15090])
def test_http_on_a_port_of_the_proxy_itself_has_no_listener(port: int) -> None:
    world = told(service_entry("a.example.com", f"{port}/HTTP"))
    assert list(world.listeners) == ["virtualOutbound"]
    assert world.codes == ["SBX0502"]


def test_the_detection_timeout_of_the_mesh_applies_only_where_http_is_detected() -> None:
    world = told(
        mesh("protocolDetectionTimeout: 5s"),
        service_entry("a.example.com", "80/HTTP"),
        service_entry("b.example.com", "443/TLS"),
    )
    assert world.listeners["0.0.0.0_80"].listener_filters_timeout == timedelta(seconds=5)
    assert world.listeners["0.0.0.0_443"].listener_filters_timeout == timedelta(0)


def test_an_egress_listener_with_a_port_keeps_other_services_of_that_port_out() -> None:
    world = told(
        service_entry("a.example.com", "8080/TCP"),
        service_entry("b.example.com", "8080/TCP"),
        sidecar(
            "  egress:\n"
            "  - {port: {number: 8080, protocol: TCP, name: t}, hosts: ['*/b.example.com']}\n"
            "  - {hosts: ['*/*']}\n"
        ),
    )
    (chain,) = world.chains("0.0.0.0_8080")
    assert tcp_proxy(chain).cluster == "outbound|8080||b.example.com"


def test_capture_mode_none_binds_to_loopback_and_detects_nothing() -> None:
    world = told(
        service_entry("a.example.com", "8080/HTTP"),
        sidecar("  egress:\n  - {port: {number: 8080, protocol: HTTP, name: h}, captureMode: NONE, hosts: ['*/*']}\n"),
    )
    listener = world.listeners["127.0.0.1_8080"]
    assert listener.bind_to_port is None
    assert listener.listener_filters == ()
    assert listener.address == SocketAddress(address="127.0.0.1", port_value=8080)


def test_a_unix_socket_has_a_table_by_its_path() -> None:
    world = told(
        service_entry("a.example.com", "80/HTTP"),
        sidecar(
            "  egress:\n"
            "  - bind: unix:///var/run/out.sock\n"
            "    port: {number: 0, protocol: HTTP_PROXY, name: h}\n"
            "    hosts: ['*/*']\n"
        ),
    )
    listener = world.listeners["unix:///var/run/out.sock_0"]
    assert listener.address == Pipe(path="/var/run/out.sock")
    assert [host.name for host in world.routes["unix:///var/run/out.sock"].virtual_hosts] == [
        "a.example.com:80",
        "allow_any",
    ]


def test_without_interception_nothing_is_captured() -> None:
    client = CLIENT.replace("labels:", "annotations: {sidecar.istio.io/interceptionMode: NONE}\n  labels:")
    world = told(service_entry("a.example.com", "8080/HTTP"), client=client)
    assert list(world.listeners) == ["127.0.0.1_8080"]


def test_the_http_proxy_port_gets_a_listener_with_absolute_urls() -> None:
    world = told(mesh("proxyHttpPort: 15002"), service_entry("a.example.com", "8080/HTTP"))
    (chain,) = world.chains("127.0.0.1_15002")
    options = manager(chain).http_protocol_options
    assert options is not None
    assert options.allow_absolute_url is True
    assert world.host("http_proxy", "a.example.com:8080").domains == ("a.example.com:8080", "a.example.com.:8080")


def test_every_reason_is_a_line_or_a_named_default() -> None:
    world = told(service_entry("a.example.com", "80/HTTP", "443/TLS"))
    listener = world.listeners["0.0.0.0_443"]
    assert [reason.what for reason in listener.because] == ["service port", "egress listener"]
    line, default = (reason.origin for reason in listener.because)
    assert isinstance(line, Origin)
    assert line.path == "spec.ports[1].number"
    assert isinstance(default, IstioDefault)


def test_with_dynamic_dns_for_everything_unknown_http_is_resolved_by_its_host() -> None:
    world = told(
        mesh("outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}"), service_entry("a.example.com", "80/HTTP")
    )
    loop, http, rest = world.chains("virtualOutbound")
    assert [chain.name for chain in (loop, http, rest)] == [
        "virtualOutbound-blackhole",
        "virtualOutbound-catchall-tcp-http",
        "virtualOutbound-catchall-tcp",
    ]
    assert criteria(http) == ("http/1.1", "h2c")
    inline = manager(http).route_config
    assert inline is not None
    assert [host.name for host in inline.virtual_hosts] == ["allow_any_dynamic_dns"]
    filters = [item.name.rpartition(".")[2] for item in manager(world.chains("0.0.0.0_80")[0]).http_filters]
    assert filters == ["fault", "cors", "dynamic_forward_proxy", "router"]
    assert tcp_proxy(rest).cluster == "PassthroughCluster"


def test_tproxy_makes_the_capture_listener_transparent() -> None:
    client = CLIENT.replace("labels:", "annotations: {sidecar.istio.io/interceptionMode: TPROXY}\n  labels:")
    assert told(client=client).listeners["virtualOutbound"].transparent is True


DUAL = CLIENT.replace("  podIP: 10.0.0.9\n", "  podIP: 10.0.0.9\n  podIPs: [{ip: 10.0.0.9}, {ip: 'fd00::9'}]\n")
BOTH = "spec: {values: {pilot: {env: {ISTIO_DUAL_STACK: 'true'}}}}"
OPERATOR = f"apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{name: i}}\n{BOTH}\n"


# listener_address.go, getWildcardsAndLocalHost; listener_builder.go, buildVirtualOutboundListener
def test_a_proxy_with_two_families_listens_for_both_but_captures_the_second_only_where_istiod_is_told_to() -> None:
    def others(client: str, *documents: str) -> dict[str, list[object]]:
        entries = (service_entry("a.example.com", "80/HTTP"), service_entry("b.example.com", "90/TCP"))
        found = told(*entries, *documents, client=client).listeners
        return {name: [each.address for each in item.additional_addresses] for name, item in found.items()}

    second = {"0.0.0.0_80": [SocketAddress(address="::", port_value=80)]}
    second["0.0.0.0_90"] = [SocketAddress(address="::", port_value=90)]
    assert others(CLIENT) == {"0.0.0.0_80": [], "0.0.0.0_90": [], "virtualOutbound": []}
    assert others(DUAL) == {**second, "virtualOutbound": []}
    captured = [SocketAddress(address="::", port_value=15001)]
    assert others(DUAL, OPERATOR) == {**second, "virtualOutbound": captured}


def test_an_idle_timeout_of_the_proxy_reaches_tcp_and_http() -> None:
    settings = mesh("defaultConfig: {proxyMetadata: {ISTIO_META_IDLE_TIMEOUT: 90s}}")
    world = told(settings, service_entry("a.example.com", "80/HTTP"))
    http, fallback = world.chains("0.0.0.0_80")
    options = manager(http).common_http_protocol_options
    assert options is not None
    assert options.idle_timeout == tcp_proxy(fallback).idle_timeout == timedelta(seconds=90)


def test_http_1_0_can_be_taken_for_http() -> None:
    operator = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: installed, namespace: istio-system}
spec: {values: {pilot: {env: {PILOT_HTTP10: "true"}}}}
"""
    http = told(operator, service_entry("a.example.com", "80/HTTP")).chains("0.0.0.0_80")[0]
    assert criteria(http) == ("http/1.0", "http/1.1", "h2c")
    options = manager(http).http_protocol_options
    assert options is not None
    assert options.accept_http_10 is True
