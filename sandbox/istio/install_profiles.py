"""What the installation profiles demo and preview set beneath everything that a user writes.

Only what a proxy's configuration depends on (Istio's ``manifests/helm-profiles``); the other profiles set nothing of
that, but for the ambient ones, which are not emulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.yaml_source.documents import parse_documents
from sandbox.yaml_source.nodes import FixedSource, Source, YamlMapping
from sandbox.yaml_source.problems import Problems

_DEMO: Final = """\
accessLogFile: /dev/stdout
extensionProviders:
- name: otel
  envoyOtelAls: {service: opentelemetry-collector.observability.svc.cluster.local, port: 4317}
- name: skywalking
  skywalking: {service: tracing.istio-system.svc.cluster.local, port: 11800}
- name: otel-tracing
  opentelemetry: {service: opentelemetry-collector.observability.svc.cluster.local, port: 4317}
- name: jaeger
  opentelemetry: {service: jaeger-collector.istio-system.svc.cluster.local, port: 4317}
"""
_PREVIEW: Final = """\
defaultConfig:
  proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}
"""
_MESH: Final = {"demo": _DEMO, "preview": _PREVIEW}
_TRACE_SAMPLING: Final = {"demo": "100"}


def profile_key(spec: Mapping[str, object], values: Mapping[str, object]) -> tuple[YamlMapping, str] | None:
    """Where the profile is chosen: an IstioOperator's ``spec.profile``, then Helm's ``profile``, ``global.profile``."""
    for holder in (spec, values, values.get("global")):
        if isinstance(holder, YamlMapping) and isinstance(holder.get("profile"), str):
            return holder, str(holder["profile"])
    return None


def profile_mesh(holder: YamlMapping, name: str, source: Source) -> tuple[YamlMapping, Source] | None:
    """The profile's MeshConfig, each line of which is the one that chooses the profile; None where it sets nothing."""
    text = _MESH.get(name)
    if text is None:
        return None
    place = FixedSource(source.span(*holder.key_line_column("profile")))
    (node,) = parse_documents(place, text, Problems())
    assert isinstance(node, YamlMapping), "the texts above are mappings"
    return node, place


def profile_environment(name: str) -> Mapping[str, str]:
    """What the profile says to istiod."""
    sampling = _TRACE_SAMPLING.get(name)
    return {} if sampling is None else {"PILOT_TRACE_SAMPLING": sampling}
