"""What a proxy's bootstrap says about its own workload and about the statistics it keeps.

Source: Istio pkg/bootstrap/config.go, the injection template (labels of the canonical service, ``WORKLOAD_NAME``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from sandbox.compiler.label_selectors import WORKLOAD_NAME_LABEL, canonical_service
from sandbox.compiler.spiffe import identity_of
from sandbox.plan.metrics import NodeMetadata, StatsMatcher

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

_LONGEST_LABEL: Final = 63
"""The injection template cuts the canonical name there."""
_REQUIRED_PREFIXES: Final = ("cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm")
_REQUIRED_SUFFIXES: Final = ("rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied")
_REQUIRED_REGEXPS: Final = (r"vhost\..*\.route\..*",)
_ANNOTATION: Final = "sidecar.istio.io/statsInclusion"


def node_metadata(push: PushContext, proxy: Proxy) -> NodeMetadata:
    """The proxy's workload as its metrics tell it."""
    raw, labels = proxy.metadata.raw, proxy.labels
    workload = raw.get("WORKLOAD_NAME") or labels.get(WORKLOAD_NAME_LABEL) or proxy.workload_name or proxy.name
    name, revision = canonical_service(labels, workload)
    return NodeMetadata(
        workload_name=workload,
        namespace=proxy.namespace,
        canonical_name=name[:_LONGEST_LABEL].strip("-_."),
        canonical_revision=revision,
        app=labels.get("app", ""),
        version=labels.get("version", ""),
        cluster_id=proxy.metadata.cluster_id,
        principal=identity_of(proxy, push.mesh.trust_domain),
        istio_version=raw.get("ISTIO_VERSION", ""),
    )


def stats_matcher(proxy: Proxy) -> StatsMatcher:
    """The pod's annotations, else ``proxyStatsMatcher``; always with what Istio itself needs."""
    written = proxy.metadata.proxy_config.proxy_stats_matcher

    def chosen(kind: str, configured: Iterable[str]) -> tuple[str, ...]:
        annotated = proxy.metadata.annotations.get(_ANNOTATION + kind, "")
        return tuple(annotated.split(",")) if annotated else tuple(configured)

    return StatsMatcher(
        prefixes=(*chosen("Prefixes", written.inclusion_prefixes if written else ()), *_REQUIRED_PREFIXES),
        suffixes=(*chosen("Suffixes", written.inclusion_suffixes if written else ()), *_REQUIRED_SUFFIXES),
        regexps=(*chosen("Regexps", written.inclusion_regexps if written else ()), *_REQUIRED_REGEXPS),
    )
