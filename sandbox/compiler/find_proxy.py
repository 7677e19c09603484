"""The proxy of a workload: its pod, and the proxy settings of mesh, ProxyConfig resources and annotation.

Source: Istio pilot/pkg/model/proxy_config.go, pkg/bootstrap/config.go, pilot/pkg/xds/ads.go (``setTopologyLabels``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from sandbox.compiler.ages import by_creation_time
from sandbox.compiler.features import features_of
from sandbox.compiler.label_selectors import (
    NETWORK_LABEL,
    REGION_LABEL,
    SUBZONE_LABEL,
    ZONE_LABEL,
    augment,
    selects,
)
from sandbox.compiler.proxy import InterceptionMode, NodeType, Proxy, ProxyMetadata
from sandbox.compiler.sidecar_proxy_settings import settings_of
from sandbox.compiler.workloads import CLUSTER_ID, WorkloadReader
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.decode import decode_message
from sandbox.istio.durations import parse_duration
from sandbox.istio.kinds import WORKLOAD_KINDS
from sandbox.istio.kubernetes import Container, PodSpec, PodStatus
from sandbox.istio.load import Configuration
from sandbox.istio.mesh_defaults import DEFAULT_PROXY_CONFIG
from sandbox.istio.mesh_settings import merge_proxy_config
from sandbox.istio.message import EMPTY
from sandbox.istio.proxy_config import ProxyConfig
from sandbox.istio.read_object import ObjectReader
from sandbox.istio.resource import ObjectMeta, Resource
from sandbox.istio.sidecar_proxy_setting import SidecarProxySetting
from sandbox.istio.workload_proxy_config import ProxyConfig as ProxyConfigSpec
from sandbox.yaml_source.documents import parse_documents, split_documents
from sandbox.yaml_source.nodes import FixedSource, YamlMapping
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.span import Origin

_PROXY_CONFIG_ANNOTATION: Final = "proxy.istio.io/config"
_INTERCEPTION_ANNOTATION: Final = "sidecar.istio.io/interceptionMode"
_STATUS_PORT_ANNOTATION: Final = "status.sidecar.istio.io/port"
_TEMPLATE_HASH: Final = "pod-template-hash"
_META_PREFIX: Final = "ISTIO_META_"
_PROXY_CONTAINER: Final = "istio-proxy"
UNKNOWN_ADDRESS: Final = "127.0.0.1"
"""Of workloads without a pod: makes the proxy an IPv4 one."""
_TRUE: Final = frozenset({"1", "t", "true"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A pod, or what a template says about pods."""

    metadata: ObjectMeta
    spec: PodSpec
    namespace: str
    name: str
    addresses: tuple[str, ...]
    origin: Origin | None
    """None where no object describes it."""


def find_proxy(configuration: Configuration, workload: str, node_type: NodeType = "sidecar") -> Proxy | None:
    """The proxy of a pod ``namespace/name``, else of a Deployment (StatefulSet …) of that name; None without."""
    found = find_workload(configuration, workload)
    return None if found is None else proxy_of(configuration, found, node_type)


def undescribed_proxy(configuration: Configuration, workload: str, address: str, node_type: NodeType) -> Proxy:
    """The proxy of a pod without labels that no object describes; it too has the mesh's proxy settings."""
    namespace, _, name = workload.partition("/")
    metadata = ObjectMeta(name=name, namespace=namespace)
    made_up = Workload(
        metadata=metadata, spec=PodSpec(), namespace=namespace, name=name, addresses=(address,), origin=None
    )
    return proxy_of(configuration, made_up, node_type)


def find_workload(configuration: Configuration, workload: str) -> Workload | None:
    """What the configuration says about the pods of ``namespace/name``, in ``find_proxy``'s order."""
    return next(find_workloads(configuration, workload), None)


def find_workloads(configuration: Configuration, workload: str) -> Iterator[Workload]:
    """Pod and template of that name: a pod that stands in for a gateway's Deployment has the name of that."""
    namespace, _, name = workload.rpartition("/")
    found = _find_pod(configuration, namespace, name)
    if found is not None:
        yield found
    template = _find_template(configuration, namespace, name)
    if template is not None:
        yield template


def _find_pod(configuration: Configuration, namespace: str, name: str) -> Workload | None:
    for pod in configuration.resources("Pod"):
        if pod.name == name and pod.namespace == namespace:
            return Workload(
                metadata=pod.metadata,
                spec=pod.spec,
                namespace=namespace,
                name=name,
                addresses=_addresses(pod.status),
                origin=pod.origin_of("metadata", "name"),
            )
    return None


def _find_template(configuration: Configuration, namespace: str, name: str) -> Workload | None:
    for kind in WORKLOAD_KINDS:
        for resource in configuration.resources(kind):
            template = resource.spec.pod_template
            if resource.name == name and resource.namespace == namespace and template is not None:
                return Workload(
                    metadata=template.metadata,
                    spec=template.spec or PodSpec(),
                    namespace=namespace,
                    name=name,
                    addresses=(UNKNOWN_ADDRESS,),
                    origin=resource.origin_of("metadata", "name"),
                )
    return None


def _addresses(status: object) -> tuple[str, ...]:
    if not isinstance(status, PodStatus):
        return (UNKNOWN_ADDRESS,)
    several = tuple(item.ip for item in status.pod_ips if item.ip)
    return several or ((status.pod_ip,) if status.pod_ip else (UNKNOWN_ADDRESS,))


def proxy_of(configuration: Configuration, workload: Workload, node_type: NodeType) -> Proxy:
    """The proxy beside (or in) a workload."""
    raw_labels = workload.metadata.labels
    settings = _effective_settings(configuration, workload)
    metadata = _metadata(workload, settings)
    reader, node_name = WorkloadReader(configuration), workload.spec.node_name
    locality = reader.locality(raw_labels, node_name)
    labels = augment(raw_labels, CLUSTER_ID, locality, node_name, reader.network or metadata.network)
    features = features_of(configuration.pilot_env)
    return Proxy(
        node_type=node_type,
        namespace=workload.namespace,
        name=workload.name,
        labels=labels,
        workload_name=_workload_name(workload),
        service_account=workload.spec.service_account_name or "default",
        ip_addresses=workload.addresses,
        dns_domain=f"{workload.namespace}.svc.{configuration.domain_suffix}",
        region=labels.get(REGION_LABEL, ""),
        zone=labels.get(ZONE_LABEL, ""),
        sub_zone=labels.get(SUBZONE_LABEL, ""),
        node_name=node_name,
        metadata=metadata,
        dual_stack=features.dual_stack,
        uses_auto_allocated=metadata.dns_capture and (metadata.dns_auto_allocate or features.enable_ip_autoallocate),
        origin=workload.origin,
    )


def _workload_name(workload: Workload) -> str:
    """The owner of a pod: the name that its own was generated from, without a template's hash."""
    owned = workload.metadata.generate_name.removesuffix("-")
    template = workload.metadata.labels.get(_TEMPLATE_HASH, "")
    return (owned.removesuffix(f"-{template}") if template else owned) or workload.name


# ---- proxy settings


def _effective_settings(configuration: Configuration, workload: Workload) -> ProxyConfig:
    """Defaults and mesh, our own settings, ProxyConfig resources of root and namespace, annotation, selecting ones."""
    settings = configuration.mesh.default_config or DEFAULT_PROXY_CONFIG
    for own in reversed(settings_of(configuration, workload.namespace, workload.metadata.labels)):
        settings = _with_own(settings, own.spec)
    resources = by_creation_time(configuration.resources("ProxyConfig"))
    for namespace in dict.fromkeys((configuration.root_namespace, workload.namespace)):
        settings = _with_resource(settings, _first(resources, namespace, None))
    annotation = _annotated_settings(workload, configuration.problems)
    if annotation is not None:
        settings = merge_proxy_config(settings, annotation)
    return _with_resource(settings, _first(resources, workload.namespace, workload.metadata.labels))


def _with_own(settings: ProxyConfig, own: SidecarProxySetting) -> ProxyConfig:
    metadata, mode = dict(settings.proxy_metadata), own.interception_mode or settings.interception_mode
    if own.dns_proxying_enabled is not None:
        metadata[f"{_META_PREFIX}DNS_CAPTURE"] = str(own.dns_proxying_enabled).lower()
    return replace(settings, proxy_metadata=metadata, interception_mode=mode)


def _first(
    resources: Iterable[Resource[ProxyConfigSpec]], namespace: str, labels: Mapping[str, str] | None
) -> ProxyConfigSpec | None:
    """The oldest resource of a namespace: for all workloads (``labels`` None), or one whose selector fits them."""
    for resource in resources:
        selector = resource.spec.selector
        if resource.namespace != namespace:
            continue
        if labels is None and selector is None:
            return resource.spec
        if (
            labels is not None
            and selector is not None
            and selector.match_labels
            and selects(selector.match_labels, labels)
        ):
            return resource.spec
    return None


def _with_resource(settings: ProxyConfig, resource: ProxyConfigSpec | None) -> ProxyConfig:
    if resource is None:
        return settings
    changes: dict[str, Any] = {}
    if resource.concurrency is not None:
        changes["concurrency"] = resource.concurrency
    if resource.image is not None:
        changes["image"] = resource.image
    if resource.environment_variables:
        changes["proxy_metadata"] = {**settings.proxy_metadata, **resource.environment_variables}
    return replace(settings, **changes)


def _annotated_settings(workload: Workload, problems: Problems) -> ProxyConfig | None:
    """The ProxyConfig in the pod's annotation; what is wrong with it is reported, and it does not count."""
    text = workload.metadata.annotations.get(_PROXY_CONFIG_ANNOTATION)
    if text is None:
        return None
    origin = workload.metadata.origin_of("annotations", _PROXY_CONFIG_ANNOTATION)
    source = FixedSource(origin.span)
    found = Problems()
    documents = [item for chunk in split_documents(text) for item in parse_documents(source, chunk.text, found)]
    node = documents[0] if documents else None
    reader = ObjectReader(origin.resource, source, open_fields=False, has_schema=False)
    settings = None
    if isinstance(node, YamlMapping):
        settings = decode_message(ProxyConfig, node, reader, origin.path)
    problems.extend((*found, *reader.problems))
    return settings


def _metadata(workload: Workload, settings: ProxyConfig) -> ProxyMetadata:
    raw = _raw_metadata(workload.spec.containers, settings)
    annotations = workload.metadata.annotations
    return ProxyMetadata(
        cluster_id=CLUSTER_ID,
        network=raw.get("NETWORK", "") or workload.metadata.labels.get(NETWORK_LABEL, ""),
        network_view=frozenset(filter(None, raw.get("REQUESTED_NETWORK_VIEW", "").split(","))),
        dns_capture=_boolean(raw.get("DNS_CAPTURE", "")),
        dns_auto_allocate=_boolean(raw.get("DNS_AUTO_ALLOCATE", "")),
        http10=raw.get("HTTP10", "") == "1",
        idle_timeout=_duration(raw.get("IDLE_TIMEOUT", "")),
        interception_mode=_interception_mode(annotations, settings),
        http_proxy_port=_number(raw.get("HTTP_PROXY_PORT", ""), 0),
        unprivileged=_boolean(raw.get("UNPRIVILEGED_POD", "")),
        status_port=_number(annotations.get(_STATUS_PORT_ANNOTATION, ""), settings.status_port),
        envoy_status_port=_number(raw.get("ENVOY_STATUS_PORT", ""), 15021),
        envoy_prometheus_port=_number(raw.get("ENVOY_PROMETHEUS_PORT", ""), 15090),
        tls_client_cert_chain=raw.get("TLS_CLIENT_CERT_CHAIN", ""),
        tls_client_key=raw.get("TLS_CLIENT_KEY", ""),
        tls_client_root_cert=raw.get("TLS_CLIENT_ROOT_CERT", ""),
        raw=raw,
        annotations=annotations,
        proxy_config=settings,
    )


def _raw_metadata(containers: Iterable[Container], settings: ProxyConfig) -> Mapping[str, str]:
    variables = dict(settings.proxy_metadata)
    for container in containers:
        if container.name == _PROXY_CONTAINER:
            variables |= {variable.name: variable.value for variable in container.env}
    return {
        name.removeprefix(_META_PREFIX): value for name, value in variables.items() if name.startswith(_META_PREFIX)
    } or EMPTY


def _interception_mode(annotations: Mapping[str, str], settings: ProxyConfig) -> InterceptionMode:
    match annotations.get(_INTERCEPTION_ANNOTATION) or settings.interception_mode:
        case "NONE":
            return "NONE"
        case "TPROXY":
            return "TPROXY"
        case _:
            return "REDIRECT"


def _boolean(text: str) -> bool:
    return text.lower() in _TRUE


def _number(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() else default


def _duration(text: str) -> timedelta | None:
    """A Go duration; anything else counts as absent, as in istiod."""
    try:
        return parse_duration(text) if text else None
    except ValueError:
        return None
