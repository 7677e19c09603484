"""YAML into typed messages: both spellings, every type, every fault with its place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox.istio.destination_rule import DestinationRule
from sandbox.istio.load import load_texts
from sandbox.istio.service_entry import ServiceEntry
from sandbox.istio.virtual_service import VirtualService
from sandbox.yaml_source.problems import Problem

HEADS = {
    "ServiceEntry": "networking.istio.io/v1",
    "VirtualService": "networking.istio.io/v1",
    "DestinationRule": "networking.istio.io/v1",
    "AuthorizationPolicy": "security.istio.io/v1",
    "PeerAuthentication": "security.istio.io/v1",
}


def decode(kind: str, spec: str) -> tuple[Any, list[Problem]]:
    """The specification of one object whose ``spec:`` is in line 5, and its problems."""
    indented = "".join(f"  {line}\n" for line in spec.strip("\n").split("\n"))
    text = f"apiVersion: {HEADS[kind]}\nkind: {kind}\nmetadata: {{name: a, namespace: shop}}\n\nspec:\n{indented}"
    configuration = load_texts([("a.yaml", text)])
    resource = configuration.objects[0].resource
    assert resource is not None
    return resource.spec, list(configuration.problems)


def test_every_field_has_the_proto_s_default() -> None:
    spec, problems = decode("ServiceEntry", "hosts: [a.example.com]")

    assert spec == ServiceEntry(hosts=("a.example.com",))
    assert (spec.resolution, spec.location, spec.ports, spec.workload_selector) == ("NONE", "MESH_EXTERNAL", (), None)
    assert not problems


def test_a_virtual_service_is_typed_down_to_the_leaves() -> None:
    spec, problems = decode(
        "VirtualService",
        """
hosts: [a]
http:
- match:
  - uri: {prefix: /v1}
    headers: {x-user: {exact: me}}
    port: 80
  timeout: 1.5s
  retries: {attempts: 3, perTryTimeout: 250ms, retryRemoteLocalities: false}
  fault: {abort: {httpStatus: 503, percentage: {value: 10}}}
  directResponse: {status: 200, body: {bytes: aGVsbG8=}}
""",
    )
    assert isinstance(spec, VirtualService)
    route = spec.http[0]
    assert route.match[0].uri is not None
    assert route.match[0].uri.prefix == "/v1"
    assert route.match[0].uri.exact is None
    assert route.match[0].headers["x-user"].exact == "me"
    assert route.timeout == timedelta(seconds=1.5)
    assert route.retries is not None
    assert route.retries.retry_remote_localities is False
    assert route.fault is not None
    assert route.fault.abort is not None
    assert route.fault.abort.percentage is not None
    assert route.fault.abort.percentage.value == 10.0
    assert route.direct_response is not None
    assert route.direct_response.body is not None
    assert route.direct_response.body.bytes == b"hello"
    assert not problems


def test_snake_case_is_read_and_mentioned() -> None:
    spec, problems = decode("ServiceEntry", "hosts: [a.b]\nexport_to: ['.']\n")

    assert spec.export_to == (".",)
    assert [(each.code, each.severity, each.hint) for each in problems] == [("SBX0101", "warning", "write exportTo")]


def test_of_two_spellings_the_one_in_camel_case_counts() -> None:
    for spec in ("exportTo: [a]\nexport_to: [b]", "export_to: [b]\nexportTo: [a]"):
        assert decode("ServiceEntry", spec)[0].export_to == ("a",)


def test_a_misspelt_field_is_not_written() -> None:
    spec, _ = decode("ServiceEntry", "Resolution: DNS")

    assert not spec.written("resolution")
    assert spec.resolution == "NONE"


@pytest.mark.parametrize(
    ("kind", "spec", "hint"),
    [
        pytest.param(
            "DestinationRule",
            "trafficPolicy: {connectionPool: {http: {connectTimeout: 3s}}}",
            "connectTimeout belongs under spec.trafficPolicy.connectionPool.tcp",
            id="in the sister",
        ),
        pytest.param(
            "VirtualService",
            "http: [{route: [{destination: {host: a}, retries: {attempts: 3}}]}]",
            "retries belongs under spec.http[0]",
            id="indented too far",
        ),
        pytest.param(
            "VirtualService",
            "http: [{route: [{destination: {host: a, weight: 3}}]}]",
            "weight belongs under spec.http[0].route[0]",
            id="inside the neighbour",
        ),
        pytest.param(
            "VirtualService",
            "http: [{fault: {abort: {percent: 10}}}]",
            "did you mean percentage?",
            id="the beginning of a field of this place",
        ),
        pytest.param("DestinationRule", "tls: {mode: SIMPLE}", "tls belongs under spec.trafficPolicy", id="level lost"),
        pytest.param("VirtualService", "http: [{Timeout: 3s}]", "did you mean timeout?", id="misspelt in place"),
        pytest.param("VirtualService", "http: [{nothing: 1}]", "", id="nowhere"),
    ],
)
def test_a_misplaced_field_is_told_where_it_belongs(kind: str, spec: str, hint: str) -> None:
    _, problems = decode(kind, spec)

    assert [problem.hint for problem in problems if problem.code == "SBX0101"] == [hint]


@pytest.mark.parametrize(
    ("kind", "spec", "code", "path", "line", "column", "hint"),
    [
        pytest.param("VirtualService", "hots: [a]", "SBX0101", "spec.hots", 6, 3, "did you mean hosts?", id="unknown"),
        pytest.param("VirtualService", "hosts: a", "SBX0102", "spec.hosts", 6, 10, "- ", id="list"),
        pytest.param(
            "VirtualService", "hosts: [on]", "SBX0102", "spec.hosts[0]", 6, 11, "quotes", id="boolean as text"
        ),
        pytest.param("VirtualService", "http: {a: 1}", "SBX0102", "spec.http", 6, 9, "", id="mapping for list"),
        pytest.param("VirtualService", "http: [5]", "SBX0102", "spec.http[0]", 6, 10, "", id="number for mapping"),
        pytest.param("ServiceEntry", "resolution: DNSS", "SBX0103", "spec.resolution", 6, 15, "mean DNS?", id="word"),
        pytest.param(
            "VirtualService",
            "http: [{match: [{uri: /a}]}]",
            "SBX0102",
            "spec.http[0].match[0].uri",
            6,
            25,
            "write {exact: /a}",
            id="text for a match of texts",
        ),
        pytest.param(
            "VirtualService",
            "http: [{route: [{destination: {port: 80}}]}]",
            "SBX0102",
            "spec.http[0].route[0].destination.port",
            6,
            40,
            "write {number: 80}",
            id="number for a port",
        ),
        pytest.param("ServiceEntry", "resolution: 1.5", "SBX0102", "spec.resolution", 6, 15, "", id="fraction as word"),
        pytest.param(
            "ServiceEntry", "ports: [{number: 4294967296}]", "SBX0104", "spec.ports[0].number", 6, 20, "", id="range"
        ),
        pytest.param("ServiceEntry", "ports: [{number: -1}]", "SBX0104", "spec.ports[0].number", 6, 20, "", id="sign"),
        pytest.param(
            "ServiceEntry", "ports: [{number: 8x}]", "SBX0102", "spec.ports[0].number", 6, 20, "", id="number"
        ),
        pytest.param(
            "VirtualService", "http: [{timeout: 5}]", "SBX0102", "spec.http[0].timeout", 6, 20, "write 5s", id="no unit"
        ),
        pytest.param(
            "VirtualService", "http: [{timeout: 1d}]", "SBX0105", "spec.http[0].timeout", 6, 20, "units are", id="unit"
        ),
        pytest.param(
            "DestinationRule",
            "trafficPolicy: {tls: {insecureSkipVerify: 'true'}}",
            "SBX0102",
            "spec.trafficPolicy.tls.insecureSkipVerify",
            6,
            45,
            "without quotes",
            id="text as boolean",
        ),
        pytest.param(
            "PeerAuthentication",
            "portLevelMtls: {http: {mode: STRICT}}",
            "SBX0102",
            "spec.portLevelMtls.http",
            6,
            25,
            "",
            id="text as number key",
        ),
        pytest.param(
            "VirtualService",
            "http: [{directResponse: {body: {bytes: '!'}}}]",
            "SBX0111",
            "spec.http[0].directResponse.body.bytes",
            6,
            42,
            "",
            id="base64",
        ),
    ],
)
def test_a_fault_has_a_code_a_path_a_place_and_a_hint(
    kind: str, spec: str, code: str, path: str, line: int, column: int, hint: str
) -> None:
    _, problems = decode(kind, spec)

    found = [(each.code, each.path, each.span and each.span[1:], hint in each.hint) for each in problems]
    assert found == [(code, path, (line, column), True)]
    assert all(each.layer == "schema" for each in problems)


def test_all_faults_are_reported_at_once() -> None:
    _, problems = decode("ServiceEntry", "hots: [a]\nresolution: X\nports: [{number: a}, {nam: b}]")

    assert [each.path for each in problems] == [
        "spec.hots",
        "spec.resolution",
        "spec.ports[0].number",
        "spec.ports[1].nam",
    ]


def test_numbers_as_text_are_read_and_refused_by_the_schema_only() -> None:
    head = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\n"
    configuration = load_texts([("a.yaml", head + 'spec: {ports: [{number: "80"}]}')])

    assert configuration.resources("ServiceEntry")[0].spec.ports[0].number == 80
    assert [each.code for each in configuration.problems] == ["SBX0102"]


def test_null_is_absent_and_a_null_item_is_an_empty_message() -> None:
    spec, problems = decode(
        "VirtualService", "hosts: null\nhttp:\n- match: [null]\n  timeout: null\n  redirect: {uri: a}"
    )

    assert spec.hosts == ()
    assert len(spec.http[0].match) == 1
    assert spec.http[0].timeout is None
    assert not problems


def test_of_a_oneof_the_last_declared_field_counts() -> None:
    spec, problems = decode("VirtualService", "http: [{match: [{uri: {prefix: /a, exact: /b}}]}]")

    assert (spec.http[0].match[0].uri.exact, spec.http[0].match[0].uri.prefix) == (None, "/a")
    assert [(each.code, each.hint) for each in problems] == [("SBX0301", "istiod would take prefix")]


def test_a_field_called_like_a_python_word_has_an_underscore() -> None:
    spec, problems = decode("AuthorizationPolicy", "rules: [{from: [{source: {namespaces: [a]}}]}]")

    assert spec.rules[0].from_[0].source.namespaces == ("a",)
    assert not problems


def test_messages_and_fields_know_where_they_were_written() -> None:
    spec, _ = decode("VirtualService", "hosts:\n- a\n- b\nhttp:\n- timeout: 5s\n  route:\n  - destination: {host: c}")
    route = spec.http[0]

    assert str(spec.origin_of("hosts", 1)) == "a.yaml:8"
    assert spec.origin_of("hosts", 1).path == "spec.hosts[1]"
    assert str(route.origin) == "a.yaml:10"
    assert route.origin.path == "spec.http[0]"
    assert str(route.origin_of("timeout")) == "a.yaml:10"
    assert str(route.route[0].destination.origin_of("host")) == "a.yaml:12"
    assert route.origin_of("retries") == route.origin
    assert str(route.origin.resource) == "VirtualService shop/a"
    assert (route.written("timeout"), route.written("retries")) == (True, False)


def test_a_message_made_by_hand_has_no_place() -> None:
    rule = DestinationRule(host="a")

    assert not rule.place
    assert rule.origin_of("host").span.line == 0
    assert rule == DestinationRule(host="a")
    assert hash(rule) == hash(DestinationRule(host="a"))
