"""Allocated addresses over reloads: an entry keeps what it has, as istiod has written that into its status."""

from __future__ import annotations

import pytest

from sandbox.compiler import PushContext, compile_node, find_proxy
from sandbox.istio.load import load_texts

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: default
  annotations: {proxy.istio.io/config: '{proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}}'}
"""
ENTRY = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: default}}
spec:
  hosts: [{hosts}]
  {addresses}
  ports: [{{number: 3306, name: tcp, protocol: TCP}}]
  resolution: DNS
"""


def entry(name: str, *hosts: str, addresses: str = "") -> str:
    return ENTRY.format(name=name, hosts=", ".join(hosts), addresses=f"addresses: [{addresses}]" if addresses else "")


def names(*loads: list[str]) -> list[dict[str, str]]:
    """The name table after each load, one after the other."""
    push, found = None, []
    for entries in loads:
        configuration = load_texts([("mesh.yaml", POD + "".join(entries))])
        push = PushContext(configuration, push)
        proxy = find_proxy(configuration, "default/web")
        assert proxy is not None
        hosts = compile_node(push, proxy).name_table.hosts
        found.append({host: " ".join(each.addresses) for host, each in hosts.items()})
    return found


A, B, C = entry("a", "a.example"), entry("b", "b.example"), entry("c", "c.example")


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        pytest.param(
            [[A, B], [C, A, B]],
            {"a.example": "240.240.0.1", "b.example": "240.240.0.2", "c.example": "240.240.0.3"},
            id="a new entry before the others",
        ),
        pytest.param([[A, B], [B, A]], {"a.example": "240.240.0.1", "b.example": "240.240.0.2"}, id="another order"),
        pytest.param([[A, B], [B]], {"b.example": "240.240.0.2"}, id="one that is gone"),
        pytest.param(
            [[A, B], [B], [C, B]],
            {"b.example": "240.240.0.2", "c.example": "240.240.0.1"},
            id="an address that has become free",
        ),
        pytest.param(
            [[A], [entry("a", "new.example", "a.example")]],
            {"a.example": "240.240.0.1", "new.example": "240.240.0.2"},
            id="one host more",
        ),
        pytest.param(
            [[A, B], [entry("b", "b.example", addresses="203.0.113.7"), A]],
            {"a.example": "240.240.0.1", "b.example": "203.0.113.7"},
            id="an address of its own",
        ),
        pytest.param(
            [[A], [A, entry("b", "b.example", addresses="240.240.0.1")]],
            {"a.example": "240.240.0.2", "b.example": "240.240.0.1"},
            id="one that a user has taken for himself",
        ),
    ],
)
def test_addresses_stay_over_reloads(loads: list[list[str]], expected: dict[str, str]) -> None:
    assert names(*loads)[-1] == expected
