"""Explain names what a user got wrong: a subset, a port, a mirror, TLS where none belongs or none where it does."""

from __future__ import annotations

import pytest

from .one_host import entry, policy, routes, to, walked


@pytest.mark.parametrize(
    ("destination", "sentence"),
    [
        pytest.param(
            to("subset: v2, port: {number: 80}"),
            "no DestinationRule that applies declares subset v2 of api.example.com",
            id="a subset",
        ),
        pytest.param(to("port: {number: 81}"), "api.example.com has no port 81", id="a port"),
        pytest.param(
            "{destination: {host: nobody.example.com}}", "no service has this name and port", id="another host"
        ),
    ],
)
def test_what_is_missing_of_a_destination_is_named(destination: str, sentence: str) -> None:
    walk = walked("http://api.example.com/", entry(), routes(f"{{route: [{destination}]}}"))

    assert (walk.outcome.status, walk.outcome.flags, walk.outcome.sentence) == (503, ("NC",), sentence)


def test_what_leads_nowhere_is_not_slow() -> None:
    rule = f"{{timeout: 1s, route: [{to('port: {number: 81}')}]}}"

    assert walked("http://api.example.com/", entry(), routes(rule)).outcome.notes == ()


def test_a_share_that_leads_nowhere_is_told_with_its_size() -> None:
    parts = f"{to(weight=', weight: 90')}, {to('port: {number: 81}', ', weight: 10')}"

    outcome = walked("http://api.example.com/", entry(), routes(f"{{route: [{parts}]}}")).outcome

    assert outcome.is_forwarded
    assert outcome.cluster == "outbound|80||api.example.com"
    assert outcome.notes[0] == "10% get 503, with flag NC: api.example.com has no port 81"


MIRROR = f"{{route: [{to()}], mirror: {{host: recorder.example.com}}, mirrorPercentage: {{value: 20}}}}"


def test_a_mirror_to_nobody_harms_nobody() -> None:
    walk = walked("http://api.example.com/", entry(), routes(MIRROR))

    policy_step = walk.step("policy")
    assert policy_step is not None
    assert policy_step.found.endswith(
        "20% mirrored to outbound|80||recorder.example.com (there is no such cluster: nothing is sent)"
    )
    assert [problem.message for problem in walk.findings] == [
        "recorder.example.com is no known service: nothing is mirrored to it, and the requests themselves go on"
    ]


def test_the_mistake_of_another_rule_is_none_of_this_call() -> None:
    rules = (f"{{match: [{{uri: {{prefix: /a}}}}], route: [{to()}]}}", MIRROR)

    assert walked("http://api.example.com/a", entry(), routes(*rules)).findings == ()


BYTES = "{number: 5432, name: db, protocol: TCP}"


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("a.example.com", ""),
        ("b.example.com", "this is not b.example.com: the bytes name no host, and a.example.com has"),
    ],
)
def test_bytes_that_arrive_at_another_host_are_told(host: str, told: str) -> None:
    entries = (entry(BYTES, "a.example.com"), entry(BYTES, "b.example.com"))

    first, *_ = walked(f"tcp://{host}:5432", *entries).outcome.notes

    assert first.startswith(told or "reset, with flags UF,URX")


TLS_BY_HOST = "TLS, SNI from the request's host"
SYSTEM = "the server's certificate must be of an authority that the system trusts, for"
SIMPLE = policy("trafficPolicy: {tls: {mode: SIMPLE}}")
AT_443 = entry("{number: 80, name: http, protocol: HTTP, targetPort: 443}")
FILES = "clientCertificate: /c/crt, privateKey: /c/key, caCertificates: /c/ca"
TLS = {
    "by the system's authorities": ("http", (AT_443, SIMPLE), TLS_BY_HOST, f"{SYSTEM} the request's host", ""),
    "for names": (
        "http",
        (AT_443, policy("trafficPolicy: {tls: {mode: SIMPLE, sni: x.example, subjectAltNames: [a, b]}}")),
        "TLS, SNI x.example",
        f"{SYSTEM} a or b",
        "",
    ),
    "with a client's certificate": (
        "http",
        (AT_443, policy(f"trafficPolicy: {{tls: {{mode: MUTUAL, {FILES}, sni: x.example}}}}")),
        "mutual TLS, SNI x.example",
        "certificate in /c/crt; the server's certificate must be of the authorities in /c/ca, for any name",
        "",
    ),
    "with a Secret": (
        "http",
        (
            AT_443,
            policy(
                "workloadSelector: {matchLabels: {app: web}}, trafficPolicy: {tls: {mode: MUTUAL, credentialName: c,"
                " subjectAltNames: [a]}}"
            ),
        ),
        TLS_BY_HOST.replace("TLS", "mutual TLS"),
        "certificate of Secret c; the server's certificate must be of the authority in Secret c, for a",
        "",
    ),
    "of anybody": (
        "http",
        (AT_443, policy("trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true}}")),
        TLS_BY_HOST,
        "the server's certificate is not verified",
        "",
    ),
    "behind a PROXY header": (
        "http",
        (AT_443, policy("trafficPolicy: {proxyProtocol: {version: V2}, tls: {mode: SIMPLE}}")),
        TLS_BY_HOST,
        f"{SYSTEM} the request's host",
        "",
    ),
    "on the port for plain text": (
        "http",
        (entry(), SIMPLE),
        TLS_BY_HOST,
        f"{SYSTEM} the request's host",
        "TLS to port 80",
    ),
    "on the port for plain text, wherever the call goes": (
        "http",
        (entry().replace("DNS", "NONE"), SIMPLE),
        TLS_BY_HOST,
        f"{SYSTEM} the request's host",
        "TLS to port 80",
    ),
    "around TLS": ("https", (entry(), SIMPLE), "TLS, no SNI", f"{SYSTEM} any name", "TLS inside TLS"),
    "none where the server wants it": ("http", (AT_443,), "none", "", "plain HTTP to port 443"),
}


@pytest.mark.parametrize(("scheme", "documents", "found", "reason", "note"), TLS.values(), ids=list(TLS))
def test_tls_that_the_proxy_begins(scheme: str, documents: tuple[str, ...], found: str, reason: str, note: str) -> None:
    step = walked(f"{scheme}://api.example.com/", *documents).step("tls")

    assert step is not None
    assert (step.found, step.reason) == (found, reason)
    assert [text.partition(":")[0] for text in step.notes] == ([note] if note else [])
