from __future__ import annotations

from .nodes import compiled, manifest
from .sidecars import CLIENT, service_entry

CAPTURING = CLIENT.replace(
    "  labels: {app: client}\n",
    "  labels: {app: client}\n"
    "  annotations:\n    proxy.istio.io/config: 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"true\"}'\n",
)
KUBERNETES = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.7, ports: [{name: http, port: 80}]}
"""


def test_allocated_addresses_are_told_only_where_dns_is_captured() -> None:
    entry = service_entry("a.example", "80/HTTP")

    assert dict(compiled(entry).plan.name_table.hosts) == {}
    assert compiled(entry, client=CAPTURING).plan.name_table.hosts["a.example"].addresses == ("240.240.0.1",)


def test_own_addresses_are_told_but_blocks_are_not() -> None:
    spec = "hosts: [a.example]\naddresses: [10.5.5.5, 10.6.0.0/16]\nports: [{number: 80, name: http, protocol: HTTP}]"
    table = compiled(manifest("ServiceEntry", "a", f"{spec}\nresolution: NONE"), KUBERNETES).plan.name_table

    assert table.hosts["a.example"].addresses == ("10.5.5.5",)
    entry = table.hosts["web.shop.svc.cluster.local"]
    assert (entry.addresses, entry.short_name, entry.namespace) == (("10.96.0.7",), "web", "shop")


def test_services_that_a_sidecar_hides_are_not_in_the_table() -> None:
    hidden = manifest("Sidecar", "s", "egress: [{hosts: ['./*']}]")

    assert dict(compiled(KUBERNETES, hidden).plan.name_table.hosts) == {}
