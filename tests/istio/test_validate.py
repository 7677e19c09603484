"""Istiod's verdict on objects by themselves: one line per rule."""

from __future__ import annotations

import pytest

from sandbox.istio.load import load_texts
from sandbox.istio.validate import ObjectVerdict, validate_configuration

GROUPS = {
    "AuthorizationPolicy": "security.istio.io/v1",
    "PeerAuthentication": "security.istio.io/v1",
    "RequestAuthentication": "security.istio.io/v1",
    "Telemetry": "telemetry.istio.io/v1",
    "ProxyConfig": "networking.istio.io/v1beta1",
    "EnvoyFilter": "networking.istio.io/v1alpha3",
    "WasmPlugin": "extensions.istio.io/v1alpha1",
    "TrafficExtension": "extensions.istio.io/v1alpha1",
}


def verdict(kind: str, spec: str, metadata: str = "name: a, namespace: shop") -> ObjectVerdict:
    """The verdict on one object, its specification written in one line."""
    version = GROUPS.get(kind, "networking.istio.io/v1")
    text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {spec}\n"
    return validate_configuration(load_texts([("a.yaml", text)]))[0]


PORT = "ports: [{number: 80, name: http, protocol: HTTP}]"
ROUTE = "route: [{destination: {host: a}}]"
RULES = [
    # ServiceEntry
    ("ServiceEntry", f"{{hosts: [a.b], {PORT}, resolution: DNS}}", "valid", ""),
    ("ServiceEntry", "{}", "error", "at least one host"),
    ("ServiceEntry", "{hosts: ['*']}", "error", "invalid host *"),
    ("ServiceEntry", "{hosts: [a_b]}", "error", "label 'a_b' invalid"),
    ("ServiceEntry", "{hosts: [1.2.3.4]}", "error", "all-numeric"),
    ("ServiceEntry", "{hosts: ['*foo.com']}", "warning", "partial wildcard"),
    ("ServiceEntry", "{hosts: [a.b], addresses: [10.0.0.0/33]}", "error", "CIDR block"),
    ("ServiceEntry", "{hosts: [a.b], addresses: [10.0.0.0/8], resolution: DNS}", "error", "NONE/STATIC"),
    ("ServiceEntry", "{hosts: [a.b], ports: [{number: 80, name: A_b}]}", "error", "invalid port name"),
    ("ServiceEntry", "{hosts: [a.b], ports: [{number: 1, name: a}, {number: 1, name: b}]}", "error", "already defined"),
    ("ServiceEntry", "{hosts: [a.b], ports: [{number: 1, name: a, protocol: X}]}", "error", "unsupported protocol"),
    (
        "ServiceEntry",
        "{hosts: [a.b], ports: [{number: 1, name: a, protocol: TCP}]}",
        "warning",
        "addresses are required",
    ),
    ("ServiceEntry", "{hosts: [a.b], endpoints: [{address: 1.2.3.4}]}", "error", "resolution type none"),
    ("ServiceEntry", "{hosts: [a.b], resolution: STATIC, endpoints: [{address: b.c}]}", "error", "not a valid IP"),
    ("ServiceEntry", "{hosts: [a.b], resolution: STATIC, endpoints: [{}]}", "error", "address is required"),
    ("ServiceEntry", "{hosts: ['*.b'], resolution: DNS}", "error", "hosts must be FQDN"),
    ("ServiceEntry", "{hosts: [a.b], resolution: DYNAMIC_DNS}", "error", "must be wildcarded"),
    ("ServiceEntry", "{hosts: ['*.b'], resolution: DYNAMIC_DNS}", "valid", ""),
    (
        "ServiceEntry",
        "{hosts: ['*.b'], resolution: DYNAMIC_DNS, ports: [{number: 1, name: a, protocol: HTTPS}]}",
        "error",
        "only HTTP, TLS",
    ),
    (
        "ServiceEntry",
        "{hosts: [a.b, c.d], resolution: DNS, ports: [{number: 1, name: a, protocol: TCP}]}",
        "error",
        "multiple hosts",
    ),
    ("ServiceEntry", "{hosts: [a.b], exportTo: ['*', a]}", "error", "public (*)"),
    ("ServiceEntry", "{hosts: [a.b], exportTo: ['~']}", "valid", ""),
    ("ServiceEntry", "{hosts: [a.b], exportTo: ['.', shop]}", "error", "duplicate entries"),
    ("ServiceEntry", "{hosts: [a.b], workloadSelector: {labels: {a: '*'}}}", "error", "wildcard is not supported"),
    # WorkloadEntry and WorkloadGroup
    ("WorkloadEntry", "{address: vm.corp}", "valid", ""),
    ("WorkloadEntry", "{network: vm}", "warning", "address is unset"),
    ("WorkloadEntry", "{address: 'unix:///a', ports: {a: 1}}", "error", "must not include ports"),
    ("WorkloadEntry", "{address: 1.2.3.4, labels: {':a': b}}", "error", "invalid tag key"),
    ("WorkloadGroup", "{}", "error", "template is required"),
    ("WorkloadGroup", "{template: {}, probe: {httpGet: {port: 0}}}", "error", "port number 0"),
    # VirtualService
    ("VirtualService", f"{{hosts: [a], http: [{{{ROUTE}}}]}}", "valid", ""),
    ("VirtualService", "{hosts: [a]}", "error", "http, tcp or tls"),
    ("VirtualService", f"{{hosts: ['*'], http: [{{{ROUTE}}}]}}", "error", "not allowed for virtual services"),
    ("VirtualService", f"{{hosts: ['*'], gateways: [gw], http: [{{{ROUTE}}}]}}", "valid", ""),
    ("VirtualService", f"{{hosts: [a.b, '*.b'], http: [{{{ROUTE}}}]}}", "error", "duplicate hosts"),
    ("VirtualService", f"{{hosts: [a], gateways: [gw.ns], http: [{{{ROUTE}}}]}}", "warning", "legacy gateway name"),
    ("VirtualService", "{hosts: [a], http: [{}]}", "error", "is required"),
    (
        "VirtualService",
        f"{{hosts: [a], http: [{{{ROUTE}, redirect: {{uri: /}}}}]}}",
        "error",
        "both route and redirect",
    ),
    ("VirtualService", f"{{hosts: [a], http: [{{{ROUTE}, timeout: 0s}}]}}", "error", "at least 1ms"),
    ("VirtualService", f"{{hosts: [a], http: [{{{ROUTE}, fault: {{}}}}]}}", "error", "abort and/or a delay"),
    (
        "VirtualService",
        f"{{hosts: [a], http: [{{{ROUTE}, fault: {{abort: {{grpcStatus: X}}}}}}]}}",
        "error",
        "gRPC status",
    ),
    ("VirtualService", f"{{hosts: [a], http: [{{{ROUTE}, retries: {{retryOn: 5xx}}}}]}}", "error", "set to 0"),
    ("VirtualService", f"{{hosts: [a], http: [{{{ROUTE}, rewrite: {{}}}}]}}", "error", "at least one of"),
    (
        "VirtualService",
        f"{{hosts: [a], http: [{{{ROUTE}, corsPolicy: {{allowMethods: [GO]}}}}]}}",
        "error",
        "HTTP method",
    ),
    (
        "VirtualService",
        f"{{hosts: [a], http: [{{{ROUTE}, headers: {{request: {{set: {{':path': /}}}}}}}}]}}",
        "error",
        '":" prefix',
    ),
    (
        "VirtualService",
        f"{{hosts: [a], http: [{{{ROUTE}, headers: {{response: {{add: {{a: '%x'}}}}}}}}]}}",
        "error",
        "un-terminated",
    ),
    ("VirtualService", f"{{hosts: [a], http: [{{{ROUTE}, mirrorPercent: 5}}]}}", "warning", "deprecated"),
    (
        "VirtualService",
        f"{{hosts: [a], http: [{{match: [{{uri: {{regex: '['}}}}], {ROUTE}}}]}}",
        "error",
        "no RE2 regex",
    ),
    ("VirtualService", f"{{hosts: [a], http: [{{match: [{{method: {{prefix: ''}}}}], {ROUTE}}}]}}", "error", "empty"),
    ("VirtualService", "{hosts: [a], http: [{route: [{destination: {host: a, subset: A_}}]}]}", "error", "subset name"),
    (
        "VirtualService",
        "{hosts: [a], http: [{route: [{destination: {host: a}}, {destination: {host: b}}]}]}",
        "error",
        "total destination weight",
    ),
    ("VirtualService", "{hosts: [a], http: [{directResponse: {status: 700}}]}", "error", "HTTP status 700"),
    ("VirtualService", "{hosts: [a], http: [{redirect: {redirectCode: 200, uri: /}}]}", "error", "must be 3xx"),
    ("VirtualService", f"{{hosts: [a], http: [{{{ROUTE}}}, {{{ROUTE}}}]}}", "warning", "only the last rule"),
    (
        "VirtualService",
        f"{{hosts: [a], http: [{{match: [{{uri: {{prefix: /a}}}}], {ROUTE}}},"
        f" {{match: [{{uri: {{prefix: /a/b}}}}], {ROUTE}}}]}}",
        "warning",
        "duplicate/overlapping",
    ),
    ("VirtualService", f"{{hosts: [a.b], tls: [{{match: [{{sniHosts: [c.d]}}], {ROUTE}}}]}}", "error", "not contained"),
    ("VirtualService", f"{{hosts: [a.b], tls: [{{match: [{{sniHosts: [a.b]}}], {ROUTE}}}]}}", "valid", ""),
    ("VirtualService", f"{{hosts: [a.b], tls: [{{{ROUTE}}}]}}", "error", "at least one match"),
    ("VirtualService", f"{{hosts: [a], tcp: [{{match: [{{port: 70000}}], {ROUTE}}}]}}", "error", "port number 70000"),
    # DestinationRule
    ("DestinationRule", "{host: a, trafficPolicy: {}}", "error", "at least one field"),
    ("DestinationRule", "{host: a, trafficPolicy: {tls: {mode: MUTUAL}}}", "error", "client certificate required"),
    ("DestinationRule", "{host: a, trafficPolicy: {tls: {mode: SIMPLE}}}", "valid", ""),
    ("DestinationRule", "{host: a, subsets: [{name: a}, {name: a}]}", "error", "duplicate subset"),
    ("DestinationRule", "{host: a, trafficPolicy: {connectionPool: {}}}", "error", "connection pool must"),
    (
        "DestinationRule",
        "{host: a, trafficPolicy: {outlierDetection: {consecutiveErrors: 5}}}",
        "warning",
        "deprecated",
    ),
    (
        "DestinationRule",
        "{host: a, subsets: [{name: a, trafficPolicy: {outlierDetection: {consecutiveErrors: 5}}}]}",
        "valid",
        "",
    ),
    (
        "DestinationRule",
        "{host: a, trafficPolicy: {loadBalancer: {consistentHash: {maglev: {tableSize: 8}}}}}",
        "error",
        "prime number",
    ),
    (
        "DestinationRule",
        "{host: a, trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 50}}]}}}}",
        "error",
        "50 != 100",
    ),
    (
        "DestinationRule",
        "{host: a, trafficPolicy: {loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}}}",
        "warning",
        "outlier detection",
    ),
    ("DestinationRule", "{host: a, trafficPolicy: {tunnel: {protocol: GET}}}", "error", "tunnel protocol"),
    ("DestinationRule", "{host: a, trafficPolicy: {portLevelSettings: [{}]}}", "error", "must have a port"),
    ("DestinationRule", "{host: a, workloadSelector: {matchLabels: {a: b}}, exportTo: [x]}", "error", "beyond its own"),
    # Gateway
    ("Gateway", "{servers: [{hosts: ['*'], port: {number: 80, name: a, protocol: HTTP}}]}", "valid", ""),
    ("Gateway", "{}", "error", "at least one server"),
    ("Gateway", "{servers: [{hosts: [a], port: {number: 80, name: a, protocol: HTTP}}]}", "error", "short names"),
    ("Gateway", "{servers: [{hosts: ['*'], port: {number: 443, name: a, protocol: HTTPS}}]}", "error", "must have TLS"),
    (
        "Gateway",
        "{servers: [{hosts: ['*'], port: {number: 443, name: a, protocol: HTTPS}, tls: {mode: SIMPLE}}]}",
        "error",
        "requires a server certificate",
    ),
    (
        "Gateway",
        "{servers: [{hosts: ['*'], port: {number: 80, name: a, protocol: HTTP}, tls: {httpsRedirect: true}}]}",
        "valid",
        "",
    ),
    (
        "Gateway",
        "{servers: [{hosts: ['*'], port: {number: 443, name: a, protocol: TLS},"
        " tls: {mode: SIMPLE, credentialName: a, cipherSuites: [X]}}]}",
        "warning",
        "invalid cipher suites: X",
    ),
    # Sidecar
    ("Sidecar", "{egress: [{hosts: ['./*']}]}", "valid", ""),
    ("Sidecar", "{}", "error", "empty configuration"),
    ("Sidecar", "{egress: [{hosts: [a.b]}]}", "error", "namespace/dnsName"),
    ("Sidecar", "{egress: [{hosts: ['./*']}, {hosts: ['./*']}]}", "error", "should be the last"),
    ("Sidecar", "{egress: [{hosts: ['./*', ./a.b]}]}", "warning", "duplicated egress host"),
    ("Sidecar", "{egress: [{hosts: ['*/*', './*']}]}", "warning", "selects all hosts"),
    (
        "Sidecar",
        "{outboundTrafficPolicy: {mode: REGISTRY_ONLY, egressProxy: {host: a.b, port: {number: 1}}}}",
        "error",
        "ALLOW_ANY",
    ),
    ("Sidecar", "{ingress: [{port: {number: 80}, defaultEndpoint: '8.8.8.8:80'}]}", "error", "defaultEndpoint must be"),
    # Telemetry
    ("Telemetry", "{accessLogging: [{filter: {expression: 'response.code >= 400 && nonsense(1)'}}]}", "valid", ""),
    ("Telemetry", "{accessLogging: [{filter: {expression: 'response.code >='}}]}", "error", "valid CEL"),
    ("Telemetry", "{tracing: [{randomSamplingPercentage: 101}]}", "error", "randomSamplingPercentage"),
    ("Telemetry", "{tracing: [{}, {}]}", "warning", "multiple tracing"),
    ("Telemetry", "{metrics: [{overrides: [{tagOverrides: {a: {}}}]}]}", "error", "operation is UPSERT"),
    # Policies
    ("AuthorizationPolicy", "{action: DENY}", "error", "meaningless"),
    ("AuthorizationPolicy", "{action: CUSTOM, rules: [{}]}", "error", "provider.name"),
    (
        "AuthorizationPolicy",
        "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}",
        "warning",
        "HTTP attributes",
    ),
    ("AuthorizationPolicy", "{rules: [{from: [{source: {ipBlocks: [1.2.3.4/99]}}]}]}", "error", "bad CIDR"),
    ("AuthorizationPolicy", "{rules: [{to: [{operation: {paths: ['/{**}/{*}']}}]}]}", "error", "not the last operator"),
    ("AuthorizationPolicy", "{rules: [{when: [{key: nonsense, values: [a]}]}]}", "error", "unknown attribute"),
    (
        "AuthorizationPolicy",
        "{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: a}]}",
        "error",
        "only one",
    ),
    ("PeerAuthentication", "{portLevelMtls: {80: {mode: STRICT}}}", "error", "cannot have port level"),
    ("RequestAuthentication", "{jwtRules: [{issuer: a, jwks: '{'}]}", "error", "jwks parse error"),
    (
        "RequestAuthentication",
        "{jwtRules: [{issuer: a, jwks: '{\"keys\": []}', jwksUri: 'ftp://a'}]}",
        "error",
        "scheme",
    ),
    ("ProxyConfig", "{concurrency: -1}", "error", "greater than or equal"),
    # Not emulated
    ("EnvoyFilter", "{}", "warning", "implementation details"),
    ("EnvoyFilter", "{configPatches: [{applyTo: CLUSTER}]}", "error", "missing patch"),
    ("WasmPlugin", "{}", "error", "url"),
    ("TrafficExtension", "{}", "error", "exactly one"),
]


@pytest.mark.parametrize(("kind", "spec", "word", "part"), RULES, ids=[f"{row[0]} {row[1]}" for row in RULES])
def test_each_rule_gives_istiod_s_verdict(kind: str, spec: str, word: str, part: str) -> None:
    found = verdict(kind, spec)
    said = [problem.message for problem in found.problems if problem.layer == "istiod"]

    assert found.verdict == word, said
    assert not part or any(part in message for message in said), said


@pytest.mark.parametrize(
    ("kind", "metadata", "word"),
    [
        ("Gateway", "name: a.b", "error"),
        ("Sidecar", "name: a.b", "valid"),
        ("Sidecar", "name: a, annotations: {internal.istio.io/webhook-always-reject: ''}", "error"),
        ("Sidecar", "name: a, annotations: {istio.io/dry-run: 'true'}", "error"),
        ("AuthorizationPolicy", "name: a, annotations: {istio.io/dry-run: 'true'}", "valid"),
        ("AuthorizationPolicy", "name: a, annotations: {istio.io/dry-run: 'maybe'}", "error"),
    ],
)
def test_names_and_annotations_count(kind: str, metadata: str, word: str) -> None:
    specs = {
        "Gateway": "{servers: [{hosts: ['*'], port: {number: 80, name: a, protocol: HTTP}}]}",
        "Sidecar": "{egress: [{hosts: ['./*']}]}",
        "AuthorizationPolicy": "{}",
    }

    assert verdict(kind, specs[kind], metadata).verdict == word


LONG = "a" * 63
METADATA = {
    "a usual name": ("name: a.b-1, namespace: shop, labels: {app.kubernetes.io/name: A_1.b, empty: ''}", []),
    "capitals": ("name: Api, namespace: shop", ["'Api' is no name of an object"]),
    "an underscore": ("name: my_api, namespace: shop", ["'my_api' is no name of an object"]),
    "a dot at the end": ("name: a., namespace: shop", ["'a.' is no name of an object"]),
    "a namespace with a dot": ("name: a, namespace: a.b", ["'a.b' is no name of a namespace"]),
    "a label with a space": ("name: a, namespace: shop, labels: {a b: x}", ["'a b' is no name of a label"]),
    "a label without a name": ("name: a, namespace: shop, labels: {x/: x}", ["'x/' is no name of a label"]),
    "a value with a slash": ("name: a, namespace: shop, labels: {a: x/y}", ["'x/y' is no value of a label"]),
    "a value of 63 characters": (f"name: a, namespace: shop, labels: {{a: {LONG}}}", []),
    "a longer value": (f"name: a, namespace: shop, labels: {{a: {LONG}b}}", [f"'{LONG}b' is no value of a label"]),
}


@pytest.mark.parametrize(("metadata", "told"), METADATA.values(), ids=list(METADATA))
def test_names_that_the_api_server_refuses(metadata: str, told: list[str]) -> None:
    found = verdict("ServiceEntry", f"{{hosts: [a.b], {PORT}, resolution: DNS}}", metadata)

    assert [(problem.code, problem.layer, problem.message) for problem in found.problems] == [
        ("SBX0302", "schema", message) for message in told
    ]
    assert found.verdict == "valid"


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("https://a.example", "write the name alone: a.example"),
        ("a.example:443", "write the name alone: a.example"),
        ("http://a.example:80/x/y", "write the name alone: a.example"),
        ("a_b", ""),
    ],
)
def test_a_url_in_place_of_a_host_is_answered_with_its_host(host: str, hint: str) -> None:
    found = verdict("VirtualService", f"{{hosts: ['{host}'], http: [{{{ROUTE}}}]}}")

    assert [problem.hint for problem in found.problems] == [hint]


def test_unknown_fields_are_told_and_do_not_change_the_verdict() -> None:
    found = verdict("Sidecar", "{egress: [{hosts: ['./*'], hots: []}], outbound_traffic_policy: {mode: ALLOW_ANY}}")

    assert found.verdict == "valid"
    assert [(problem.layer, problem.code) for problem in found.problems] == [("schema", "SBX0101")] * 2


def test_what_istiod_cannot_parse_is_an_error_and_the_rest_is_looked_at_all_the_same() -> None:
    found = verdict("ServiceEntry", "{hosts: [a_b], resolution: DNSS, ports: [{number: 70000, name: a}]}")

    assert found.verdict == "error"
    assert [problem.path for problem in found.problems] == [
        "spec.hosts[0]",
        "spec.hosts[0]",
        "spec.resolution",
        "spec.ports[0].number",
    ]


def test_every_finding_has_a_place_a_path_and_an_object() -> None:
    found = verdict("VirtualService", "{hosts: [a], http: [{timeout: 0s, route: [{destination: {host: '*'}}]}]}")

    assert [(str(each.span), each.path, str(each.resource)) for each in found.problems] == [
        ("a.yaml:4", "spec.http[0].timeout", "VirtualService shop/a"),
        ("a.yaml:4", "spec.http[0].route[0].destination.host", "VirtualService shop/a"),
    ]
    assert (found.file, found.line, found.kind, found.namespace, found.name) == (
        "a.yaml",
        1,
        "VirtualService",
        "shop",
        "a",
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("accessLogFile: /dev/stdout", "valid"),
        ("access_log_file: /dev/stdout", "valid"),
        ("accesLogFile: /dev/stdout", "valid"),
        ("proxyListenPort: '15001'", "valid"),
        ("outboundTrafficPolicy: {mode: REGISTRY-ONLY}", "error"),
        ("connectTimeout: 2h", "error"),
        ("defaultTrafficPolicy: {connectionPool: {http: {http1MaxPendingRequests: -1}}}", "error"),
        ("defaultTrafficPolicy: {connectionPool: {http: {http2KeepAlive: {interval: 1s}}}}", "valid"),
        ("proxyListenPort: 70000", "error"),
        ("meshMTLS: {ecdhCurves: [P-256]}", "error"),
        ("tlsDefaults: {ecdhCurves: [P-1]}", "warning"),
        ("trustDomain: 'a b'", "error"),
        ("defaultConfig: {proxyMetadata: {ISTIO_META_DNS_AUTO_ALLOCATE: 'true'}}", "warning"),
    ],
)
def test_the_mesh_configuration_has_a_verdict_of_its_own(text: str, word: str) -> None:
    verdicts = validate_configuration(load_texts([], mesh=("mesh.yaml", text)))

    assert [(each.kind, each.verdict) for each in verdicts] == [("MeshConfig", word)]


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("RequestAuthentication", "{jwtRules: [{issuer: a, jwks: '{\"keys\": []}', jwksUri: 'http://a'}]}", "jwksUri"),
        ("DestinationRule", "{host: a, trafficPolicy: {retryBudget: {percent: 101}}}", "percent"),
        ("DestinationRule", "{host: a, trafficPolicy: {loadBalancer: {warmupDurationSecs: 0s}}}", "warmupDurationSecs"),
        ("Telemetry", "{metrics: [{reportingInterval: 0s}]}", "reportingInterval"),
        ("WorkloadEntry", "{address: vm.corp, network: " + "n" * 2049 + "}", "network"),
        (
            "RequestAuthentication",
            "{jwtRules: [{issuer: a, jwksUri: 'http://a', spaceDelimitedClaims: [b, '']}]}",
            "spaceDelimitedClaims",
        ),
        ("Telemetry", "{selector: {matchLabels: {app: " + "a" * 64 + "}}}", "matchLabels"),
        (
            "Telemetry",
            "{targetRefs: [" + "{kind: Gateway, group: gateway.networking.k8s.io, name: a}," * 17 + "]}",
            "targetRefs",
        ),
        (
            "ServiceEntry",
            "{hosts: [a.b], ports: [{number: 80, name: http, protocol: HTTP}], endpoints: []}",
            "endpoints",
        ),
        ("WorkloadEntry", "{address: 'unix:///a', ports: {}}", "ports"),
        ("AuthorizationPolicy", "{rules: [{from: [{source: {serviceAccounts: [a], namespaces: []}}]}]}", "namespaces"),
        ("Telemetry", "{metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: ''}}}]}]}", "value"),
    ],
)
def test_what_only_the_schema_refuses_does_not_change_the_verdict(kind: str, spec: str, path: str) -> None:
    found = verdict(kind, spec)

    assert found.verdict == "valid"
    assert [(each.code, each.layer) for each in found.problems] == [("SBX0301", "schema")]
    assert path in found.problems[0].path or path in found.problems[0].message


@pytest.mark.parametrize(
    "policy",
    [
        "{connectionPool: {tcp: {idleTimeout: 0s}}}",
        "{loadBalancer: {consistentHash: {httpCookie: {name: a, ttl: 0s}}}}",
        "{retryBudget: {budgetInterval: 0s}}",
    ],
)
def test_durations_that_may_be_nothing(policy: str) -> None:
    assert not verdict("DestinationRule", "{host: a, trafficPolicy: " + policy + "}").problems


def test_the_schema_is_silent_where_istiod_speaks() -> None:
    found = verdict("Gateway", "{servers: [{hosts: ['*']}]}")

    assert [each.layer for each in found.problems] == ["istiod"]
