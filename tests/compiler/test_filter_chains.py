"""TLS and TCP routes of VirtualServices as chains of a sidecar's listeners."""

from __future__ import annotations

from datetime import timedelta

from .sidecars import criteria, service_entry, tcp_proxy, told, virtual_service

GATEWAY = service_entry("egress.example.net", "8443/TLS")


def test_a_tls_route_replaces_the_services_own_chain() -> None:
    world = told(
        GATEWAY,
        service_entry("a.example.com", "443/TLS"),
        virtual_service(
            "tls",
            """
            hosts: [a.example.com]
            tls:
            - match: [{sniHosts: [b.example.com, a.example.com]}]
              route: [{destination: {host: egress.example.net, port: {number: 8443}}}]
            """,
        ),
    )
    chain, fallback = world.chains("0.0.0.0_443")
    assert criteria(chain) == ("a.example.com", "b.example.com")
    assert tcp_proxy(chain).cluster == "outbound|8443||egress.example.net"
    assert fallback.name == "PassthroughFilterChain"


def test_a_tls_route_for_other_ports_labels_or_gateways_leaves_the_own_chain() -> None:
    matches = (
        "{port: 444, sniHosts: [a.example.com]}",
        "{sourceLabels: {app: other}, sniHosts: [a.example.com]}",
        "{gateways: [egress], sniHosts: [a.example.com]}",
        "{sourceNamespace: other, sniHosts: [a.example.com]}",
    )
    for match in matches:
        world = told(
            service_entry("a.example.com", "443/TLS"),
            virtual_service(
                "tls",
                f"""
                hosts: [a.example.com]
                gateways: [mesh, egress]
                tls:
                - match: [{match}]
                  route: [{{destination: {{host: elsewhere.example.com}}}}]
                """,
            ),
        )
        assert tcp_proxy(world.chains("0.0.0.0_443")[0]).cluster == "outbound|443||a.example.com", match


def test_subnets_of_one_tls_match_stay_for_the_next_one() -> None:
    world = told(
        service_entry("a.example.com", "443/TLS"),
        virtual_service(
            "tls",
            """
            hosts: [a.example.com]
            tls:
            - match:
              - {sniHosts: [a.example.com], destinationSubnets: [192.0.2.0/24]}
              - {sniHosts: [b.example.com]}
              route: [{destination: {host: a.example.com}}]
            """,
        ),
    )
    first, second = world.chains("0.0.0.0_443")[:2]
    assert criteria(first) == ("a.example.com", "192.0.2.0/24")
    assert criteria(second) == ("b.example.com", "192.0.2.0/24")


def test_weights_of_a_tcp_route_leave_zero_out() -> None:
    world = told(
        service_entry("a.example.com", "9000/TCP"),
        virtual_service(
            "split",
            """
            hosts: [a.example.com]
            tcp:
            - route:
              - {destination: {host: a.example.com}, weight: 70}
              - {destination: {host: a.example.com, subset: v2}, weight: 30}
              - {destination: {host: a.example.com, subset: v3}, weight: 0}
            """,
        ),
    )
    (chain,) = world.chains("0.0.0.0_9000")
    proxy = tcp_proxy(chain)
    assert proxy.stat_prefix == "split.default"
    assert proxy.weighted_clusters is not None
    assert [(cluster.name, cluster.weight) for cluster in proxy.weighted_clusters.clusters] == [
        ("outbound|9000||a.example.com", 70),
        ("outbound|9000|v2|a.example.com", 30),
    ]


def test_tcp_routes_by_subnet_stand_beside_the_service() -> None:
    world = told(
        GATEWAY,
        service_entry("a.example.com", "9000/TCP"),
        virtual_service(
            "subnets",
            """
            hosts: [a.example.com]
            tcp:
            - match: [{destinationSubnets: [198.51.100.0/24]}, {destinationSubnets: [192.0.2.1]}]
              route: [{destination: {host: egress.example.net, port: {number: 8443}}}]
            """,
        ),
    )
    routed, own = world.chains("0.0.0.0_9000")
    assert criteria(routed) == ("192.0.2.1/32", "198.51.100.0/24")
    assert tcp_proxy(own).cluster == "outbound|9000||a.example.com"


def test_settings_of_the_destination_rule_reach_the_tcp_proxy() -> None:
    world = told(
        service_entry("a.example.com", "9000/TCP"),
        """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: default}
spec:
  host: a.example.com
  trafficPolicy:
    connectionPool: {tcp: {idleTimeout: 7s, maxConnectionDuration: 60s}}
    loadBalancer: {consistentHash: {useSourceIp: true}}
    tunnel: {protocol: POST, targetHost: final.example.com, targetPort: 8443}
""",
    )
    proxy = tcp_proxy(world.chains("0.0.0.0_9000")[0])
    assert proxy.idle_timeout == timedelta(seconds=7)
    assert proxy.max_downstream_connection_duration == timedelta(seconds=60)
    assert len(proxy.hash_policy) == 1
    assert proxy.tunneling_config is not None
    assert (proxy.tunneling_config.hostname, proxy.tunneling_config.use_post) == ("final.example.com:8443", True)


def test_a_dynamic_dns_wildcard_resolves_the_server_name() -> None:
    world = told(service_entry("*.example.com", "443/TLS", resolution="DYNAMIC_DNS"))
    chain = world.chains("0.0.0.0_443")[0]
    assert [item.name.rpartition(".")[2] for item in chain.filters] == ["sni_dynamic_forward_proxy", "tcp_proxy"]
    assert criteria(chain) == ("*.example.com",)
