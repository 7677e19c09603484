"""Istio's own test cases (``../shared/cases/istio``) as configurations, services and proxies of ours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from sandbox.compiler import compile_node
from sandbox.compiler.ages import BEFORE_ALL
from sandbox.compiler.kubernetes_services import resolve_aliases
from sandbox.compiler.protocols import parse_protocol
from sandbox.compiler.proxy import Proxy, ProxyMetadata
from sandbox.compiler.push_context import PushContext
from sandbox.compiler.service_registry import ServiceRegistry
from sandbox.compiler.services import Alias, Health, Registry, Resolution, Service, ServiceEndpoint, ServicePort
from sandbox.istio.load import Configuration, load_texts
from sandbox.istio.proxy_config import ProxyConfig
from sandbox.plan import NodePlan

from .ratchet import NotApplicable

CASES = Path(__file__).parents[3] / "shared" / "cases" / "istio"

FEATURES = {
    "EnableIPAutoallocate": "PILOT_ENABLE_IP_AUTOALLOCATE",
    "EnableHeadlessFilterChainListener": "PILOT_ENABLE_HEADLESS_FILTER_CHAIN_LISTENER",
    "EnableMysqlFilter": "PILOT_ENABLE_MYSQL_FILTER",
}
NOT_EMULATED = {"EnableAmbient": "ambient mesh"}

CLUSTER = "Kubernetes"


def read_cases(name: str) -> list[dict[str, Any]]:
    """All cases of one file; none where the files do not lie beside the checkout."""
    path = CASES / f"{name}.json"
    cases: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return cases


def configuration(case: dict[str, Any], extra: str = "") -> Configuration:
    """The case's documents, its mesh settings and feature flags, loaded as files."""
    texts = [("config.yaml", case.get("config") or ""), ("kube.yaml", case.get("kube_config") or ""), ("extra", extra)]
    texts.append(("mesh.yaml", _mesh_document(case.get("mesh") or {})))
    environment = _environment(case.get("env") or {})
    if environment:
        texts.append(("operator.yaml", _operator_document(environment)))
    return load_texts([(name, text) for name, text in texts if text.strip()], default_namespace="default")


def _mesh_document(mesh: dict[str, Any]) -> str:
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": yaml.safe_dump(mesh)},
    }
    return yaml.safe_dump(config_map)


def _operator_document(environment: dict[str, str]) -> str:
    operator = {
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "metadata": {"name": "installed", "namespace": "istio-system"},
        "spec": {"values": {"pilot": {"env": environment}}},
    }
    return yaml.safe_dump(operator)


def _environment(env: dict[str, Any]) -> dict[str, str]:
    found = {}
    for name, value in (env.get("features") or {}).items():
        name = name.removeprefix("features.")
        if name in NOT_EMULATED and value:
            raise NotApplicable(NOT_EMULATED[name])
        if name in FEATURES:
            found[FEATURES[name]] = str(value).lower()
    return found


def proxy(case: dict[str, Any]) -> Proxy:
    """The proxy of the case, with the defaults of Istio's own test set-up."""
    detail = case.get("proxy_detail") or {}
    metadata = detail.get("metadata") or {}
    namespace = detail.get("configNamespace", "default")
    if detail.get("type") == "router":
        namespace = metadata.get("Namespace", namespace)
    labels = detail.get("labels") or metadata.get("Labels") or {}
    locality = (detail.get("locality") or "//").split("/")
    dns_capture = bool(metadata.get("DNSCapture", False))
    return Proxy(
        node_type=detail.get("type", "sidecar"),
        namespace=namespace,
        name="app",
        labels={str(key): str(value) for key, value in labels.items()},
        ip_addresses=tuple(detail.get("ipAddresses") or _addresses(detail.get("ipMode", "IPv4"))),
        dns_domain=detail.get("dnsDomain", f"{namespace}.svc.cluster.local"),
        region=locality[0],
        zone=locality[1],
        sub_zone=locality[2],
        dual_stack=bool(_features(case).get("EnableDualStack")),
        uses_auto_allocated=dns_capture and (bool(metadata.get("DNSAutoAllocate")) or _allocates(case)),
        metadata=_metadata(metadata, case.get("mesh") or {}),
    )


def _features(case: dict[str, Any]) -> dict[str, Any]:
    features: dict[str, Any] = (case.get("env") or {}).get("features") or {}
    return features


def _allocates(case: dict[str, Any]) -> bool:
    return all(value for name, value in _features(case).items() if name.endswith("EnableIPAutoallocate"))


def _addresses(mode: str) -> list[str]:
    return {"IPv4": ["1.1.1.1"], "IPv6": ["2001:1::1"], "Dual": ["1.1.1.1", "2001:1::1"]}[mode]


def _metadata(metadata: dict[str, Any], mesh: dict[str, Any]) -> ProxyMetadata:
    loaded = load_texts([("mesh.yaml", _mesh_document(mesh))]).mesh
    mode = metadata.get("InterceptionMode")
    idle = metadata.get("IdleTimeout") or ""
    return ProxyMetadata(
        cluster_id=metadata.get("ClusterID", CLUSTER),
        network=metadata.get("Network", ""),
        dns_capture=bool(metadata.get("DNSCapture", False)),
        dns_auto_allocate=bool(metadata.get("DNSAutoAllocate", False)),
        idle_timeout=_go_duration(idle),
        interception_mode=mode if mode in ("TPROXY", "NONE") else "REDIRECT",
        http_proxy_port=int(metadata.get("HTTPProxyPort") or 0),
        unprivileged=metadata.get("UnprivilegedPod") == "true",
        proxy_config=loaded.default_config or ProxyConfig(),
        raw={"UNPRIVILEGED_POD": metadata.get("UnprivilegedPod", "")},
    )


def _go_duration(text: str) -> Any:
    match = re.fullmatch(r"(\d+)s", text)
    return timedelta(seconds=int(match[1])) if match else None


def model_service(entry: dict[str, Any], cluster: str = CLUSTER) -> Service:
    """A service that the case gives as Go's model object."""
    host = entry["hostname"]
    namespace = entry.get("namespace", "")
    resolution = Resolution(entry.get("resolution") or "STATIC")
    return Service(
        host=host,
        name=entry.get("name", host if entry.get("registry") != "Kubernetes" else host.partition(".")[0]),
        namespace=namespace,
        object_name=entry.get("name", ""),
        registry=Registry(entry.get("registry") or "External"),
        resolution=resolution,
        ports=tuple(
            ServicePort(number=port["port"], name=port["name"], protocol=parse_protocol(port["protocol"]))
            for port in entry["ports"]
        ),
        default_address=entry.get("defaultAddress", ""),
        cluster_vips=tuple((entry.get("clusterVIPs") or {}).get(cluster, ())),
        auto_allocated_ipv4=entry.get("autoAllocatedIPv4Address", ""),
        auto_allocated_ipv6=entry.get("autoAllocatedIPv6Address", ""),
        mesh_external=bool(entry.get("meshExternal", False)),
        creation_time=_time(entry.get("creationTimestamp")),
        export_to=frozenset(entry.get("exportTo") or ()),
        labels=entry.get("labels") or {},
        aliases=tuple(
            Alias(namespace=alias.get("namespace", ""), host=alias["hostname"]) for alias in entry.get("aliases") or ()
        ),
        label_selectors=entry.get("selector") or {},
    )


def model_endpoints(entry: dict[str, Any], port: ServicePort) -> tuple[ServiceEndpoint, ...]:
    """The endpoints of one port of such a service."""
    return tuple(
        ServiceEndpoint(
            addresses=tuple(endpoint.get("ip") or [endpoint["address"]]),
            port=port.number,
            service_port_name=port.name,
            service_port=port.number,
            host_name=endpoint.get("hostname", ""),
            sub_domain=endpoint.get("subdomain", ""),
            network=endpoint.get("network", ""),
            health=Health[endpoint["health"].upper()] if endpoint.get("health") else Health.UNKNOWN,
        )
        for endpoint in entry.get("endpoints") or ()
    )


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) if text else BEFORE_ALL


@dataclass(frozen=True)
class Compiled:
    """A case's mesh, its proxy, and the proxy's plan."""

    push: PushContext
    proxy: Proxy
    plan: NodePlan


def push_context(case: dict[str, Any], extra: str = "", services: list[dict[str, Any]] | None = None) -> PushContext:
    """The mesh of a case; services given as Go objects stand beside those of the documents.

    Where nothing comes from Kubernetes, Istio's tests have no cluster domain: ``a`` is ``a.default``.
    """
    entries = case.get("services") or [] if services is None else services
    proxy_cluster = ((case.get("proxy_detail") or {}).get("metadata") or {}).get("ClusterID", CLUSTER)

    class WithModelServices(ServiceRegistry):
        def _read(self) -> list[Service]:
            found = super()._read()
            for entry in entries:
                service = model_service(entry, proxy_cluster)
                found.append(service)
                endpoints = [endpoint for port in service.ports for endpoint in model_endpoints(entry, port)]
                shards = self._kubernetes if service.is_kubernetes else self._external
                if endpoints:
                    shards.setdefault((service.host, service.namespace), []).extend(endpoints)
            found.sort(key=lambda service: (service.creation_time or BEFORE_ALL, service.name, service.namespace))
            return resolve_aliases(found)

    domain = "cluster.local" if case.get("kube_config") else ""
    with (
        patch("sandbox.compiler.push_context.ServiceRegistry", WithModelServices),
        patch.object(Configuration, "domain_suffix", domain),
    ):
        return PushContext(configuration(case, extra))


def compile_case(case: dict[str, Any], extra: str = "") -> Compiled:
    """Compile a case for its proxy."""
    push = push_context(case, extra)
    node = proxy(case)
    return Compiled(push, node, compile_node(push, node))


def gateway_service(case: dict[str, Any], targets: list[tuple[int, int]]) -> str:
    """A Service that selects the case's gateway and has these ports and target ports."""
    node = proxy(case)
    ports = [{"name": f"tcp-{port}", "port": port, "targetPort": target} for port, target in targets]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "gateway-of-the-case", "namespace": node.namespace},
        "spec": {"clusterIP": "10.96.9.9", "selector": dict(node.labels), "ports": ports},
    }
    return yaml.safe_dump(service) if targets else ""
