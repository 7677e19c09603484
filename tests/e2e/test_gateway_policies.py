"""AuthorizationPolicies at an egress gateway, call by call, as a real Envoy answers (``tests/conformance``)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cryptography import x509

from tests.proxy.test_http_jwt import KEYS, bearer, token

from .gateway_under_policy import Call, Ours, PolicyBench

NONE = "rbac_access_denied_matched_policy[none]"
SLEEP, OTHER = "default/sleep", "team/other"
POST = Call(method="POST", headers={"content-length": "0"})


def policy(rules: str, action: str = "ALLOW", name: str = "p", annotations: str = "{}") -> str:
    return f"""\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: edge, annotations: {annotations}}}
spec:
  selector: {{matchLabels: {{istio: edge}}}}
  action: {action}
  rules: {rules}
"""


def matched(name: str = "p", rule: int = 0) -> str:
    return f"rbac_access_denied_matched_policy[ns[edge]-policy[{name}]-rule[{rule}]]"


def source(field: str) -> str:
    return policy(f"[{{from: [{{source: {{{field}}}}}]}}]")


def operation(field: str) -> str:
    return policy(f"[{{to: [{{operation: {{{field}}}}}]}}]")


def when(key: str, values: str) -> str:
    return policy(f"[{{when: [{{key: '{key}', {values}}}]}}]")


Row = tuple[str, list[Call], list[int]]
ALLOWED_AND_NOT: dict[str, Row] = {
    "principals": (
        source("principals: [cluster.local/ns/default/sa/sleep]"),
        [Call(caller=SLEEP), Call(caller=OTHER), Call()],
        [200, 403, 403],
    ),
    "principals by prefix": (
        source("principals: ['cluster.local/ns/default/*']"),
        [Call(caller=SLEEP), Call(caller=OTHER)],
        [200, 403],
    ),
    "principals by suffix": (
        source("principals: ['*/sa/sleep']"),
        [Call(caller=SLEEP), Call(caller=OTHER)],
        [200, 403],
    ),
    "any principal": (source("principals: ['*']"), [Call(caller=OTHER), Call()], [200, 403]),
    "not principals": (
        source("notPrincipals: [cluster.local/ns/default/sa/sleep]"),
        [Call(caller=SLEEP), Call(caller=OTHER), Call()],
        [403, 200, 200],
    ),
    "namespaces": (source("namespaces: [default]"), [Call(caller=SLEEP), Call(caller=OTHER), Call()], [200, 403, 403]),
    "namespaces by prefix": (source("namespaces: [def*]"), [Call(caller=SLEEP), Call(caller=OTHER)], [200, 403]),
    "not namespaces": (
        source("notNamespaces: [default]"),
        [Call(caller=SLEEP), Call(caller=OTHER), Call()],
        [403, 200, 200],
    ),
    "service accounts": (
        source("serviceAccounts: [default/sleep]"),
        [Call(caller=SLEEP), Call(caller=OTHER)],
        [200, 403],
    ),
    "ipBlocks": (source("ipBlocks: [127.0.0.0/8]"), [Call()], [200]),
    "other ipBlocks": (source("ipBlocks: [10.0.0.0/8]"), [Call(headers={"x-forwarded-for": "10.0.0.1"})], [403]),
    "not ipBlocks": (source("notIpBlocks: [127.0.0.1]"), [Call()], [403]),
    "remoteIpBlocks": (
        source("remoteIpBlocks: [127.0.0.1]"),
        [Call(), Call(headers={"x-forwarded-for": "10.0.0.1"})],
        [200, 200],
    ),
    "not remoteIpBlocks": (source("notRemoteIpBlocks: [127.0.0.1]"), [Call()], [403]),
    "hosts": (
        operation("hosts: [api.example.com]"),
        [Call(), Call(host="API.Example.com"), Call(host="other.example.com"), Call(host="api.example.com:80")],
        [200, 200, 403, 403],
    ),
    "hosts by suffix": (operation("hosts: ['*.example.com']"), [Call(), Call(host="other.example.com")], [200, 200]),
    "hosts by prefix": (operation("hosts: ['api.*']"), [Call(), Call(host="other.example.com")], [200, 403]),
    "not hosts": (operation("notHosts: [api.example.com]"), [Call(), Call(host="other.example.com")], [403, 200]),
    "methods": (operation("methods: [GET]"), [Call(), POST], [200, 403]),
    "not methods": (operation("notMethods: [GET]"), [Call(), POST], [403, 200]),
    "exact path": (
        operation("paths: [/a]"),
        [Call(path="/a"), Call(path="/a?b=c"), Call(path="/a/"), Call(path="/x/../a"), Call(path="//a")],
        [200, 200, 403, 200, 403],
    ),
    "path by prefix": (operation("paths: ['/a*']"), [Call(path="/a/b"), Call(path="/b/a")], [200, 403]),
    "path by suffix": (operation("paths: ['*/b']"), [Call(path="/a/b"), Call(path="/b/a")], [200, 403]),
    "path by template": (
        operation("paths: ['/v/{*}/x']"),
        [Call(path="/v/1/x"), Call(path="/v/1/2/x"), Call(path="/v//x")],
        [200, 403, 403],
    ),
    "path by template to the end": (
        operation("paths: ['/v/{**}']"),
        [Call(path="/v/1/2"), Call(path="/w")],
        [200, 403],
    ),
    "any path": (operation("paths: ['*']"), [Call(path="/a")], [200]),
    "not paths": (operation("notPaths: ['/admin*']"), [Call(path="/a"), Call(path="/admin/x")], [200, 403]),
    "other ports": (operation("ports: ['1']"), [Call()], [403]),
    "not ports": (operation("notPorts: ['1']"), [Call()], [200]),
    "all fields of an operation": (
        operation("methods: [GET], paths: [/a]"),
        [Call(path="/a"), Call(path="/b"), Call(method="HEAD", path="/a")],
        [200, 403, 403],
    ),
    "any operation": (
        policy("[{to: [{operation: {methods: [GET]}}, {operation: {paths: [/a]}}]}]"),
        [Call(path="/b"), Call(method="POST", path="/a", headers={"content-length": "0"}), POST],
        [200, 200, 403],
    ),
    "from and to": (
        policy("[{from: [{source: {namespaces: [default]}}], to: [{operation: {methods: [GET]}}]}]"),
        [Call(caller=SLEEP), Call(caller=OTHER), Call(caller=SLEEP, method="HEAD")],
        [200, 403, 403],
    ),
    "any rule": (
        policy("[{to: [{operation: {methods: [GET]}}]}, {to: [{operation: {paths: [/a]}}]}]"),
        [Call(path="/b"), POST],
        [200, 403],
    ),
    "header": (
        when("request.headers[X-Team]", "values: [a*]"),
        [Call(headers={"x-team": "abc"}), Call(headers={"x-team": "b"}), Call()],
        [200, 403, 403],
    ),
    "not the header": (
        when("request.headers[x-team]", "notValues: [b]"),
        [Call(headers={"x-team": "a"}), Call(headers={"x-team": "b"}), Call()],
        [200, 403, 200],
    ),
    "source.ip": (when("source.ip", "values: [127.0.0.1]"), [Call()], [200]),
    "remote.ip": (when("remote.ip", "values: [10.0.0.0/8]"), [Call(headers={"x-forwarded-for": "10.0.0.1"})], [403]),
    "source.namespace": (
        when("source.namespace", "values: [team]"),
        [Call(caller=OTHER), Call(caller=SLEEP), Call()],
        [200, 403, 403],
    ),
    "not source.principal": (
        when("source.principal", "notValues: [cluster.local/ns/team/sa/other]"),
        [Call(caller=OTHER), Call(caller=SLEEP), Call()],
        [403, 200, 200],
    ),
    "destination.ip": (when("destination.ip", "values: [127.0.0.0/8]"), [Call()], [200]),
    "destination.port": (when("destination.port", "values: ['1']"), [Call()], [403]),
    "connection.sni": (
        when("connection.sni", "values: ['*.example.com']"),
        [Call(caller=SLEEP), Call()],
        [200, 403],
    ),
    "nothing is allowed": (policy("[]"), [Call(), Call(is_bytes=True)], [403, 0]),
    "everything is": (policy("[{}]"), [Call(), Call(is_bytes=True)], [200, 200]),
    "HTTP fields never allow bytes": (operation("methods: [GET]"), [Call(is_bytes=True)], [0]),
    "addresses allow bytes": (source("ipBlocks: [127.0.0.1]"), [Call(is_bytes=True)], [200]),
}
JWKS = json.dumps({"keys": [key for key in json.loads(KEYS)["keys"] if key["kty"] != "unknown"]})
TOKENS = f"""\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: edge}}
spec:
  selector: {{matchLabels: {{istio: edge}}}}
  jwtRules:
  - issuer: one
    jwks: '{JWKS}'
---
"""
GOOD, TAMPERED = token(), token()[:-4] + "AAAA"
OF_A_GROUP = token({"groups": ["admins", "all"]})
ALLOWED_AND_NOT |= {
    "requestPrincipals": (
        TOKENS + source("requestPrincipals: [one/me]"),
        [
            Call(headers=bearer(GOOD)),
            Call(),
            Call(headers=bearer(token({"sub": "you"}))),
            Call(headers=bearer(TAMPERED)),
        ],
        [200, 403, 403, 401],
    ),
    "any requestPrincipal": (
        TOKENS + source("requestPrincipals: ['*']"),
        [Call(headers=bearer(GOOD)), Call()],
        [200, 403],
    ),
    "not requestPrincipals": (
        TOKENS + source("notRequestPrincipals: [one/me]"),
        [Call(headers=bearer(GOOD)), Call()],
        [403, 200],
    ),
    "request.auth.principal": (
        TOKENS + when("request.auth.principal", "values: [one/*]"),
        [Call(headers=bearer(GOOD)), Call()],
        [200, 403],
    ),
    "request.auth.audiences": (
        TOKENS + when("request.auth.audiences", "values: [a]"),
        [Call(headers=bearer(GOOD)), Call(headers=bearer(token({"aud": ["b"]}))), Call()],
        [200, 403, 403],
    ),
    "request.auth.presenter": (
        TOKENS + when("request.auth.presenter", "values: [app]"),
        [Call(headers=bearer(token({"azp": "app"}))), Call(headers=bearer(GOOD))],
        [200, 403],
    ),
    "request.auth.claims": (
        TOKENS + when("request.auth.claims[groups]", "values: [admins]"),
        [Call(headers=bearer(OF_A_GROUP)), Call(headers=bearer(GOOD)), Call()],
        [200, 403, 403],
    ),
    "nested request.auth.claims": (
        TOKENS + when("request.auth.claims[in][side]", "values: ['1']"),
        [Call(headers=bearer(token({"in": {"side": ["1"]}}))), Call(headers=bearer(GOOD))],
        [200, 403],
    ),
    "tokens alone forbid nothing but bad ones": (
        TOKENS,
        [Call(), Call(headers=bearer(GOOD)), Call(headers=bearer(TAMPERED))],
        [200, 200, 401],
    ),
}
DENIED_BY: dict[str, tuple[str, list[Call], list[str]]] = {
    "the policy is named": (policy("[{to: [{operation: {paths: [/a]}}]}]", "DENY"), [Call(path="/a")], [matched()]),
    "with its rule": (
        policy("[{to: [{operation: {paths: [/a]}}]}, {to: [{operation: {paths: [/b]}}]}]", "DENY"),
        [Call(path="/b")],
        [matched(rule=1)],
    ),
    "denial goes before permission": (
        policy("[{}]", name="a") + "---\n" + policy("[{to: [{operation: {paths: [/a]}}]}]", "DENY", name="z"),
        [Call(path="/a")],
        [matched("z")],
    ),
    "no permission": (operation("paths: [/a]"), [Call(path="/b")], [NONE]),
    "bytes": (policy("[{from: [{source: {ipBlocks: [127.0.0.1]}}]}]", "DENY"), [Call(is_bytes=True)], [matched()]),
    "HTTP fields count as given in a denial of bytes": (
        policy("[{to: [{operation: {methods: [GET]}}]}]", "DENY"),
        [Call(is_bytes=True)],
        [matched()],
    ),
}
LETS_THROUGH: dict[str, tuple[str, list[Call]]] = {
    "a denial of something else": (
        policy("[{to: [{operation: {paths: [/a]}}]}]", "DENY"),
        [Call(path="/b"), Call(path="/a/b")],
    ),
    "auditing": (policy("[{to: [{operation: {paths: [/a]}}]}]", "AUDIT"), [Call(path="/a"), Call(path="/b")]),
    "a dry run of a denial": (
        policy("[{}]", "DENY", annotations="{istio.io/dry-run: 'true'}"),
        [Call(), Call(is_bytes=True)],
    ),
    "a dry run of a permission": (
        policy("[{to: [{operation: {paths: [/a]}}]}]", annotations="{istio.io/dry-run: 'true'}"),
        [Call(path="/b")],
    ),
    "either of two permissions": (
        policy("[{to: [{operation: {paths: [/a]}}]}]", name="a")
        + "---\n"
        + policy("[{to: [{operation: {paths: [/b]}}]}]", name="b"),
        [Call(path="/a"), Call(path="/b")],
    ),
    "a policy for others": (policy("[]").replace("istio: edge}}", "istio: other}}"), [Call(), Call(is_bytes=True)]),
    "a policy of another namespace": (policy("[]").replace("namespace: edge", "namespace: shop"), [Call()]),
}
DRY = "{istio.io/dry-run: 'true'}"
ON_A = "[{to: [{operation: {paths: [/a]}}]}]"
FROM_HERE = "[{from: [{source: {ipBlocks: [127.0.0.1]}}]}]"


def verdict(prefix: str, result: str, name: str | None = None) -> dict[str, str]:
    """What the filter notes: its result, and the policy that matched."""
    found = {} if name is None else {f"{prefix}_effective_policy_id": f"ns[edge]-policy[{name}]-rule[0]"}
    return {**found, f"{prefix}_engine_result": result}


DRY_DENIAL, DRY_PERMISSION = "istio_dry_run_deny_shadow", "istio_dry_run_allow_shadow"
NOTED: dict[str, tuple[str, list[tuple[Call, int, dict[str, str] | None]]]] = {
    "nothing without policies": ("", [(Call(), 200, None), (Call(is_bytes=True), 200, None)]),
    "a dry run of a denial": (
        policy(ON_A, "DENY", annotations=DRY),
        [
            (Call(path="/a"), 200, verdict(DRY_DENIAL, "denied", "p")),
            (Call(path="/b"), 200, verdict(DRY_DENIAL, "allowed")),
            (Call(is_bytes=True), 200, verdict(DRY_DENIAL, "denied", "p")),
        ],
    ),
    "a dry run of a permission": (
        policy(ON_A, annotations=DRY),
        [
            (Call(path="/a"), 200, verdict(DRY_PERMISSION, "allowed", "p")),
            (Call(path="/b"), 200, verdict(DRY_PERMISSION, "denied")),
            (Call(is_bytes=True), 200, verdict(DRY_PERMISSION, "denied")),
        ],
    ),
    "what is enforced, of requests": (
        policy(FROM_HERE),
        [(Call(), 200, verdict("enforced", "allowed", "p")), (Call(is_bytes=True), 200, None)],
    ),
    "a denial that is enforced beside a dry run": (
        policy("[{to: [{operation: {paths: [/b]}}]}]", name="b")
        + "---\n"
        + policy(ON_A, name="a", annotations=DRY)
        + "---\n"
        + policy(ON_A, "DENY", name="d", annotations=DRY),
        [
            (
                Call(path="/a"),
                403,
                verdict("enforced", "denied")
                | verdict(DRY_PERMISSION, "allowed", "a")
                | verdict(DRY_DENIAL, "denied", "d"),
            ),
            (
                Call(path="/b"),
                200,
                verdict("enforced", "allowed", "b")
                | verdict(DRY_PERMISSION, "denied")
                | verdict(DRY_DENIAL, "allowed"),
            ),
        ],
    ),
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyBench]:
    """One gateway for all of these policies."""
    found = PolicyBench(tmp_path_factory.mktemp("gateway"), Ours(), has_own_log=False)
    yield found
    found.close()


@pytest.mark.parametrize(("policies", "calls", "expected"), ALLOWED_AND_NOT.values(), ids=list(ALLOWED_AND_NOT))
def test_what_a_policy_allows(policies: str, calls: list[Call], expected: list[int], bench: PolicyBench) -> None:
    answers = bench.asked(policies, calls)

    assert [answer.status for answer in answers] == expected
    for answer, call in zip(answers, calls, strict=True):
        if answer.status == 403:
            assert answer.body == ("" if call.method == "HEAD" else "RBAC: access denied")
            assert answer.line == answer.line | {"code": 403, "details": NONE, "flags": "-"}
        elif answer.status == 401:
            assert answer.body == "Jwt verification fails"
            assert answer.line == answer.line | {
                "details": "jwt_authn_access_denied{Jwt_verification_fails}",
                "flags": "-",
            }


@pytest.mark.parametrize(("policies", "calls", "details"), DENIED_BY.values(), ids=list(DENIED_BY))
def test_who_denied_stands_in_the_log(policies: str, calls: list[Call], details: list[str], bench: PolicyBench) -> None:
    answers = bench.asked(policies, calls)

    for answer, call, expected in zip(answers, calls, details, strict=True):
        assert (answer.status, answer.line["code"]) == ((0, 0) if call.is_bytes else (403, 403))
        assert answer.line["end" if call.is_bytes else "details"] == expected
        assert answer.line["flags"] == "-"


@pytest.mark.parametrize(("policies", "calls"), LETS_THROUGH.values(), ids=list(LETS_THROUGH))
def test_what_passes(policies: str, calls: list[Call], bench: PolicyBench) -> None:
    answers = bench.asked(policies, calls)
    assert [answer.status for answer in answers] == [200] * len(calls)
    assert all(answer.body == "ok" for answer in answers)


@pytest.mark.parametrize(("policies", "calls"), NOTED.values(), ids=list(NOTED))
def test_what_the_log_can_tell_of_a_verdict(
    policies: str, calls: list[tuple[Call, int, dict[str, str] | None]], bench: PolicyBench
) -> None:
    answers = bench.asked(policies, [call for call, _, _ in calls])

    for answer, (call, status, expected) in zip(answers, calls, strict=True):
        kinds = ("tcp_verdict", "http_verdict") if call.is_bytes else ("http_verdict", "tcp_verdict")
        assert (answer.status, *(answer.line[kind] for kind in kinds)) == (status, expected, None)


def test_identities_stand_in_the_log(bench: PolicyBench) -> None:
    (answer,) = bench.asked("", [Call(caller=SLEEP)])

    (leaf,) = (leaf for leaf in bench.authority.leaves() if leaf.certificate_file.stem == "default.sleep")
    certificate = x509.load_pem_x509_certificate(leaf.certificate_file.read_bytes())
    assert {name: answer.line[name] for name in answer.line if name.startswith(("peer", "own"))} == {
        "own": "spiffe://cluster.local/ns/edge/sa/gateway",
        "own_subject": None,
        "peer": "spiffe://cluster.local/ns/default/sa/sleep",
        "peer_dns": None,
        "peer_from": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%S}.000Z",
        "peer_issuer": "CN=Egress Sandbox local CA",
        "peer_serial": f"{certificate.serial_number:x}",
        "peer_subject": None,
        "peer_until": f"{certificate.not_valid_after_utc:%Y-%m-%d}",
    }
