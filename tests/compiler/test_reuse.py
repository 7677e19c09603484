from __future__ import annotations

from typing import Final, Literal

from sandbox.compiler import compile_node, find_proxy
from sandbox.compiler.push_context import PushContext
from sandbox.istio.load import load_texts
from sandbox.istio.load_cache import LoadCache

from .nodes import compiled, manifest
from .sidecars import CLIENT, mesh, service_entry

NodeKind = Literal["sidecar", "router"]
BOTH_THEN_ONE: Final[tuple[tuple[NodeKind, ...], ...]] = (("sidecar", "router"), ("router",))


def test_what_has_not_changed_is_taken_over_and_what_has_is_made_again() -> None:
    cache = LoadCache()
    one, two = service_entry("one.example", "80/HTTP"), service_entry("two.example", "80/HTTP")
    before = compiled(one, two, cache=cache)
    after = compiled(one, two.replace("80", "81"), cache=cache, previous=before)

    name = "outbound|80||one.example"
    assert after.cluster(name) is before.cluster(name)
    assert after.outbound() == [name, "outbound|81||two.example"]


def test_lines_follow_the_file_where_objects_are_taken_over() -> None:
    cache = LoadCache()
    first, second = service_entry("one.example", "80/HTTP"), service_entry("two.example", "80/HTTP")
    before = compiled(first + "---\n" + second, cache=cache)
    after = compiled("# a line\n# and another\n" + first + "---\n" + second, cache=cache, previous=before)
    port = after.cluster("outbound|80||two.example").because[0]

    assert (port.what, str(port.origin)) == ("port", "1.yaml:16")


def test_a_new_rule_a_new_mesh_and_new_endpoints_make_clusters_again() -> None:
    cache = LoadCache()
    entry = service_entry("one.example", "80/HTTP")
    before = compiled(entry, cache=cache)
    rule = manifest("DestinationRule", "r", "host: one.example\ntrafficPolicy: {loadBalancer: {simple: RANDOM}}")
    name = "outbound|80||one.example"

    assert compiled(entry, rule, cache=cache, previous=before).cluster(name).lb_policy == "RANDOM"
    slower = compiled(entry, mesh("connectTimeout: 3s"), cache=cache, previous=before)
    assert slower.cluster(name).connect_timeout != before.cluster(name).connect_timeout
    more = manifest(
        "ServiceEntry",
        "more",
        "hosts: [one.example]\nresolution: DNS\nports: [{number: 80, name: p80, protocol: HTTP}]\n"
        "endpoints: [{address: b.example}]",
    )
    assert compiled(entry, more, cache=cache, previous=before).cluster(name) != before.cluster(name)


def test_findings_are_told_again_on_every_load() -> None:
    cache = LoadCache()
    entry = service_entry("one.example", "80/HTTP")
    rule = manifest("DestinationRule", "r", "host: one.example\nsubsets: [{name: v1, labels: {version: v1}}]")
    before = compiled(entry, rule, cache=cache)
    after = compiled(entry, rule, cache=cache, previous=before)

    assert before.codes == after.codes == ["SBX0401"]


def test_a_finding_of_two_workloads_is_told_again_where_one_is_left() -> None:
    cache = LoadCache()
    entry = service_entry("one.example", "80/HTTP")
    rule = manifest("DestinationRule", "r", "host: one.example\nsubsets: [{name: v1, labels: {version: v1}}]")
    texts = [("mesh.yaml", "---\n".join([CLIENT, entry, rule]))]
    previous = None
    for kinds in BOTH_THEN_ONE:
        push = PushContext(load_texts(texts, cache=cache), previous)
        for kind in kinds:
            proxy = find_proxy(push.configuration, "default/client", kind)
            assert proxy is not None
            compile_node(push, proxy)
        assert [problem.code for problem in push.problems] == ["SBX0401"]
        previous = push


def test_workloads_share_what_does_not_depend_on_them() -> None:
    first = compiled(service_entry("one.example", "80/HTTP"))
    name = "outbound|80||one.example"

    assert compiled(service_entry("one.example", "80/HTTP"), previous=first).cluster(name) == first.cluster(name)
