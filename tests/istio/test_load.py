"""Files into a configuration: kinds, lists, namespaces, mesh settings, what is not emulated, incremental loads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.istio.kinds import KINDS
from sandbox.istio.load import Configuration, load_texts
from sandbox.istio.load_cache import LoadCache
from sandbox.istio.validate import validate_configuration


def entry(name: str, *, namespace: str = "", more: str = "") -> str:
    """A small ServiceEntry."""
    where = f", namespace: {namespace}" if namespace else ""
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}{where}}}
spec:
  hosts: [{name}.example.com]
  ports: [{{number: 443, name: tls, protocol: TLS}}]
  resolution: DNS
{more}"""


def load(*texts: str, namespace: str = "default") -> Configuration:
    """Texts as files a.yaml, b.yaml, …"""
    return load_texts([(f"{chr(97 + index)}.yaml", text) for index, text in enumerate(texts)], namespace)


def test_objects_stay_in_file_order() -> None:
    configuration = load(entry("one") + "---" + entry("two"), entry("three"))

    assert [resource.name for resource in configuration.resources("ServiceEntry")] == ["one", "two", "three"]
    assert not len(configuration.problems)


def test_the_namespace_asked_for_is_that_of_objects_without_one() -> None:
    configuration = load(entry("one") + "---" + entry("two", namespace="shop"), namespace="team")

    assert [str(resource.ref) for resource in configuration.resources("ServiceEntry")] == [
        "ServiceEntry team/one",
        "ServiceEntry shop/two",
    ]
    assert configuration.resources("ServiceEntry")[0].metadata.namespace == "team"


@pytest.mark.parametrize("kind", ["List", "ServiceEntryList"])
def test_lists_are_opened(kind: str) -> None:
    items = "".join(
        f"- {line}" if line.startswith("api") else f"  {line}" for line in entry("a").strip().splitlines(True)
    )
    configuration = load(f"apiVersion: v1\nkind: {kind}\nitems:\n{items}\n")

    resource = configuration.resources("ServiceEntry")[0]
    assert resource.spec.origin_of("resolution").span.line == 10
    assert not len(configuration.problems)


def test_every_version_of_a_kind_is_read() -> None:
    for (group, name), kind in KINDS.items():
        for version in kind.versions:
            text = f"apiVersion: {group + '/' if group else ''}{version}\nkind: {name}\nmetadata: {{name: a}}\n"
            configuration = load(text)
            assert len(configuration.resources(name)) == 1, (group, name, version)
            assert not configuration.problems.errors


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("just text", "SBX0106", id="text"),
        pytest.param("- a\n- b", "SBX0106", id="list"),
        pytest.param("kind: ServiceEntry", "SBX0107", id="no apiVersion"),
        pytest.param("apiVersion: v1", "SBX0107", id="no kind"),
        pytest.param("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nspec: {}", "SBX0108", id="no metadata"),
        pytest.param("apiVersion: networking.istio.io/v2\nkind: Sidecar\nmetadata: {name: a}", "SBX0110", id="version"),
        pytest.param(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntri\nmetadata: {name: a}", "SBX0110", id="kind"
        ),
        pytest.param(entry("a", more="sepc: {}"), "SBX0101", id="top-level field"),
    ],
)
def test_what_is_no_object_of_a_known_kind_is_reported(text: str, code: str) -> None:
    assert code in [problem.code for problem in load(text).problems]


def test_other_kinds_are_skipped_with_one_note() -> None:
    role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: a}\n"
    configuration = load(role + "---\n" + role + "---\napiVersion: v1\nkind: LimitRange\nmetadata: {name: b}\n")

    assert [(problem.code, problem.severity) for problem in configuration.problems] == [("SBX0203", "info")]
    assert "LimitRange, Role (2)" in next(iter(configuration.problems)).message


def test_the_same_object_twice_is_mentioned() -> None:
    configuration = load(entry("one"), entry("one"))

    assert [problem.code for problem in configuration.problems] == ["SBX0109"]
    assert "a.yaml:2" in next(iter(configuration.problems)).message


def test_what_istiod_cannot_parse_does_not_exist_for_it() -> None:
    configuration = load(entry("one").replace("443", "many"))

    assert configuration.resources("ServiceEntry") == ()
    assert [loaded.parsable for loaded in configuration.objects] == [False]


def test_a_field_that_has_nothing_to_act_on_is_a_note() -> None:
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: |\n"
    mesh = head + "    defaultConfig: {proxyAdminPort: 1}\n"
    problems = list(load(mesh).problems)

    assert [(problem.code, problem.severity, str(problem.span)) for problem in problems] == [
        ("SBX0205", "info", "a.yaml:6")
    ]


def test_a_creation_time_that_is_none_is_reported() -> None:
    problems = list(load(entry("one").replace("name: one", "name: one, creationTimestamp: yesterday")).problems)

    assert [problem.code for problem in problems] == ["SBX0112"]


def test_a_field_nobody_acts_on_is_reported_once() -> None:
    head = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: %s}\n"
    sidecar = head + "spec:\n  ingress: [{port: {number: 1}}]\n"
    configuration = load(sidecar % "a" + "---\n" + sidecar % "b")

    problems = list(configuration.problems)
    assert [(problem.code, str(problem.span)) for problem in problems] == [("SBX0201", "a.yaml:5")]
    assert "(2 uses)" in problems[0].message


def test_a_kind_nobody_emulates_is_read_and_reported() -> None:
    configuration = load("apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: a}\nspec: {}\n")

    assert len(configuration.resources("EnvoyFilter")) == 1
    assert [problem.code for problem in configuration.problems] == ["SBX0202"]


CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    outboundTrafficPolicy:
      mode: REGISTRY_ONLY
    defaultConfig:
      proxyMetadata: {A: b}
"""
OPERATOR = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: a}
spec:
  meshConfig:
    outboundTrafficPolicy:
      mode: REGISTRY_ONLY
    defaultConfig:
      proxyMetadata: {A: b}
"""
HELM = """
meshConfig:
  outboundTrafficPolicy:
    mode: REGISTRY_ONLY
  defaultConfig:
    proxyMetadata: {A: b}
"""
BARE = """
outboundTrafficPolicy:
  mode: REGISTRY_ONLY
defaultConfig:
  proxyMetadata: {A: b}
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(CONFIG_MAP, 8, id="ConfigMap"),
        pytest.param(OPERATOR, 8, id="IstioOperator"),
        pytest.param(OPERATOR.partition("spec:")[1] + OPERATOR.partition("spec:")[2], 4, id="IstioOperator's spec"),
        pytest.param(HELM, 4, id="Helm values"),
        pytest.param(BARE, 3, id="bare"),
    ],
)
@pytest.mark.parametrize("as_mesh_file", [True, False], ids=["--mesh", "-f"])
def test_the_mesh_configuration_is_found_in_every_form(text: str, line: int, as_mesh_file: bool) -> None:
    configuration = load_texts([], mesh=("mesh.yaml", text)) if as_mesh_file else load_texts([("mesh.yaml", text)])
    mesh = configuration.mesh

    assert configuration.mesh_given
    assert mesh.outbound_traffic_policy is not None
    assert mesh.outbound_traffic_policy.mode == "REGISTRY_ONLY"
    assert str(mesh.outbound_traffic_policy.origin_of("mode")) == f"mesh.yaml:{line}"
    assert mesh.default_config is not None
    assert mesh.default_config.proxy_metadata == {"A": "b"}
    assert mesh.default_config.status_port == 15020
    assert mesh.connect_timeout == timedelta(seconds=10)
    assert not configuration.problems.errors


def test_without_settings_the_mesh_has_istio_s_defaults() -> None:
    configuration = load(entry("one"))

    assert not configuration.mesh_given
    assert configuration.root_namespace == "istio-system"
    assert configuration.mesh.outbound_traffic_policy is not None
    assert configuration.mesh.outbound_traffic_policy.mode == "ALLOW_ANY"
    assert configuration.mesh.default_service_export_to == ("*",)
    assert [provider.name for provider in configuration.mesh.extension_providers] == [
        "prometheus",
        "stackdriver",
        "envoy",
    ]
    assert not configuration.mesh.place


def test_a_provider_replaces_that_of_its_name_and_others_are_added() -> None:
    text = """
extensionProviders:
- name: envoy
  envoyFileAccessLog: {path: /dev/stderr}
- name: json
  envoyFileAccessLog: {path: /tmp/log}
"""
    providers = load_texts([], mesh=("mesh.yaml", text)).mesh.extension_providers

    assert [provider.name for provider in providers] == ["prometheus", "stackdriver", "envoy", "json"]
    assert providers[2].envoy_file_access_log is not None
    assert providers[2].envoy_file_access_log.path == "/dev/stderr"


def test_null_keeps_the_default_of_the_mesh() -> None:
    assert load_texts(
        [], mesh=("mesh.yaml", "connectTimeout: null\nrootNamespace: own")
    ).mesh.connect_timeout == timedelta(seconds=10)


def test_a_misspelt_field_of_a_bare_mesh_configuration_is_reported() -> None:
    configuration = load_texts([], mesh=("mesh.yaml", "accesLogFile: /dev/stdout"))

    assert [(problem.code, problem.hint) for problem in configuration.problems] == [
        ("SBX0101", "did you mean accessLogFile?")
    ]


def test_pilot_s_environment_and_helm_values_are_kept() -> None:
    text = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  components: {pilot: {k8s: {env: [{name: C, value: "d"}]}}}
  values:
    pilot: {env: {A: true, B: 5}}
    global: {istioNamespace: mesh-system, proxy: {clusterDomain: corp.local}}
"""
    configuration = load(text)

    assert configuration.pilot_env == {"A": "true", "B": "5", "C": "d"}
    assert configuration.root_namespace == "mesh-system"
    assert configuration.domain_suffix == "corp.local"


@pytest.mark.parametrize(
    ("text", "line", "log", "sampling"),
    [
        pytest.param("kind: IstioOperator\nspec:\n  profile: demo", 3, "/dev/stdout", "100", id="IstioOperator"),
        pytest.param("meshConfig: {}\nprofile: demo", 2, "/dev/stdout", "100", id="Helm values"),
        pytest.param("global:\n  profile: demo", 2, "/dev/stdout", "100", id="Helm's global value"),
        pytest.param("profile: demo\nmeshConfig:\n  accessLogFile: /a", 3, "/a", "100", id="what is written wins"),
        pytest.param("profile: demo\npilot: {traceSampling: 5}", 1, "/dev/stdout", "5", id="so do Helm's values"),
    ],
)
def test_the_demo_profile_stands_beneath_what_is_written(text: str, line: int, log: str, sampling: str) -> None:
    header = "apiVersion: install.istio.io/v1alpha1\n" if "IstioOperator" in text else ""
    configuration = load_texts([], mesh=("mesh.yaml", header + text))

    assert configuration.mesh_given
    assert configuration.mesh.access_log_file == log
    assert str(configuration.mesh.origin_of("access_log_file")) == f"mesh.yaml:{line + bool(header)}"
    assert configuration.pilot_env == {"PILOT_TRACE_SAMPLING": sampling}
    assert not configuration.problems


def test_the_preview_profile_captures_dns_and_the_default_one_sets_nothing() -> None:
    preview = load_texts([], mesh=("mesh.yaml", "global: {profile: preview}")).mesh.default_config
    default = load_texts([], mesh=("mesh.yaml", "profile: default\nmeshConfig: {}"))

    assert preview is not None
    assert preview.proxy_metadata == {"ISTIO_META_DNS_CAPTURE": "true"}
    assert (default.mesh.access_log_file, default.pilot_env) == ("", {})


def test_networks_beside_the_mesh_configuration_are_mentioned() -> None:
    none = load(CONFIG_MAP + '  meshNetworks: "networks: {}"\n')
    some = load(CONFIG_MAP + '  meshNetworks: "networks: {a: {}}"\n')

    assert not len(none.problems)
    assert [(problem.code, str(problem.span)) for problem in some.problems] == [("SBX0201", "a.yaml:11")]


def test_settings_written_twice_are_mentioned_and_add_up() -> None:
    configuration = load("accessLogFile: /a\nenableTracing: false", "accessLogFile: /b")

    assert (configuration.mesh.access_log_file, configuration.mesh.enable_tracing) == ("/b", False)
    assert str(configuration.mesh.origin_of("access_log_file")) == "b.yaml:1"
    assert str(configuration.mesh.origin_of("enable_tracing")) == "a.yaml:2"
    assert "SBX0204" in [problem.code for problem in configuration.problems]


KUBERNETES = """
apiVersion: v1
kind: Service
metadata: {name: web, creationTimestamp: "2024-05-01T12:00:00Z", managedFields: [{manager: x}]}
spec:
  clusterIP: 10.0.0.1
  ports: [{port: 80, targetPort: http}, {port: 443, targetPort: 8443}]
  selector: {app: web}
status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1}
spec: {serviceAccountName: web, containers: [{name: a, ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}], phase: Running}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: job}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: job}}}}}}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
data: {tls.crt: YQ==}
"""


def test_kubernetes_kinds_give_what_istiod_reads_and_ignore_the_rest() -> None:
    configuration = load(KUBERNETES)
    service: Any = configuration.resources("Service")[0]
    pod: Any = configuration.resources("Pod")[0]

    assert not len(configuration.problems)
    assert service.spec.cluster_ip == "10.0.0.1"
    assert [port.target_port for port in service.spec.ports] == ["http", 8443]
    assert service.status.load_balancer.ingress[0].ip == "1.2.3.4"
    assert service.metadata.creation_timestamp.year == 2024
    assert str(service.spec.origin_of("cluster_ip")) == "a.yaml:6"
    assert pod.status.pod_ip == "10.1.0.1"
    assert pod.spec.containers[0].ports[0].container_port == 8080
    assert configuration.resources("CronJob")[0].spec.pod_template.metadata.labels == {"app": "job"}
    assert configuration.resources("Secret")[0].spec.data == {"tls.crt": "YQ=="}


def test_a_load_keeps_what_did_not_change() -> None:
    cache = LoadCache()
    first = load_texts([("a.yaml", entry("one") + "---" + entry("two"))], cache=cache)
    second = load_texts([("a.yaml", "# moved\n" + entry("one") + "---" + entry("two", more="# new"))], cache=cache)

    assert [resource.name for resource in second.resources("ServiceEntry")] == ["one", "two"]
    assert second.resources("ServiceEntry")[1] is not first.resources("ServiceEntry")[1]
    third = load_texts(
        [("a.yaml", "# moved\n# again\n" + entry("one") + "---" + entry("two", more="# new"))], cache=cache
    )
    assert third.resources("ServiceEntry")[1] is second.resources("ServiceEntry")[1]
    assert third.resources("ServiceEntry")[1].spec.origin_of("resolution").span.line == 18


def test_a_file_that_is_given_twice_is_read_twice_from_the_cache_too() -> None:
    cache = LoadCache()
    for _ in range(2):
        configuration = load_texts([("a.yaml", entry("one")), ("a.yaml", entry("one"))], cache=cache)
        assert [problem.code for problem in configuration.problems] == ["SBX0109"]


def test_what_was_reported_is_reported_again_after_a_load_from_the_cache() -> None:
    cache = LoadCache()
    text = entry("one").replace("DNS", "DNSS")
    for _ in range(3):
        configuration = load_texts([("a.yaml", text)], cache=cache)
        assert [str(problem.span) for problem in configuration.problems] == ["a.yaml:8"]
    moved = load_texts([("a.yaml", "---\n" + entry("zero") + "---" + text)], cache=cache)
    assert [str(problem.span) for problem in moved.problems] == ["a.yaml:17"]


WORDS = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "spec",
    "hosts",
    "ports",
    "http",
    "match",
    "route",
    "items",
    "data",
    "mesh",
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.sampled_from(
        ["v1", "List", "ConfigMap", "istio", "ServiceEntry", "VirtualService", "networking.istio.io/v1", "a.b"]
    ),
    st.text(max_size=5),
)
TREES = st.recursive(
    VALUES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)),
    max_leaves=20,
)


@given(TREES)
def test_no_tree_of_values_crashes_the_loader(tree: object) -> None:
    text = repr(tree).replace("'", '"').replace("None", "null").replace("True", "true").replace("False", "false")

    validate_configuration(load(text))
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: "
    validate_configuration(load(head + text))
