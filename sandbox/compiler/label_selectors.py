"""Labels: selectors, localities, what the registry adds to them, and the canonical service they name.

Source: Istio pkg/config/labels, pilot/pkg/serviceregistry/util/label, pkg/model/proxy.go, pkg/kube/labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sandbox.istio.mesh_service_settings import LabelSelector, LabelSelectorRequirement

TLS_MODE_LABEL: Final = "security.istio.io/tlsMode"
NETWORK_LABEL: Final = "topology.istio.io/network"
CLUSTER_LABEL: Final = "topology.istio.io/cluster"
SUBZONE_LABEL: Final = "topology.istio.io/subzone"
REGION_LABEL: Final = "topology.kubernetes.io/region"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"
HOSTNAME_LABEL: Final = "kubernetes.io/hostname"
_OLD_REGION_LABEL: Final = "failure-domain.beta.kubernetes.io/region"
_OLD_ZONE_LABEL: Final = "failure-domain.beta.kubernetes.io/zone"
_LOCALITY_LABELS: Final = ("topology.istio.io/locality", "istio-locality")
_NAMESPACE_NAME_LABEL: Final = "kubernetes.io/metadata.name"
WORKLOAD_NAME_LABEL: Final = "service.istio.io/workload-name"
_CANONICAL_NAME_LABELS: Final = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_CANONICAL_REVISION_LABELS: Final = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether all labels of the selector are among the labels."""
    return all(labels.get(key) == value for key, value in selector.items())


def namespace_labels(name: str, labels: Mapping[str, str]) -> Mapping[str, str]:
    """The labels of a namespace with the one that Kubernetes gives to every namespace."""
    return {_NAMESPACE_NAME_LABEL: name, **labels}


def selector_matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Kubernetes' label selector: ``matchLabels`` and ``matchExpressions``."""
    return selects(selector.matchLabels, labels) and all(_meets(term, labels) for term in selector.matchExpressions)


def _meets(term: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(term.key)
    match term.operator:
        case "In":
            return value in term.values
        case "NotIn":
            return value not in term.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False


def split_locality(locality: str) -> tuple[str, str, str]:
    """Region, zone and sub-zone of ``region/zone/subzone``."""
    region, zone, sub_zone, *_ = (*locality.split("/"), "", "")
    return region, zone, sub_zone


def locality_of_labels(labels: Mapping[str, str]) -> str:
    """The locality a label gives, ``.`` standing for ``/``; empty without one."""
    for name in _LOCALITY_LABELS:
        if name in labels:
            text = labels[name]
            return text if "/" in text else text.replace(".", "/")
    return ""


def locality_of_node(labels: Mapping[str, str]) -> str:
    """The locality that the labels of a Kubernetes node give."""
    region = labels.get(REGION_LABEL) or labels.get(_OLD_REGION_LABEL, "")
    zone = labels.get(ZONE_LABEL) or labels.get(_OLD_ZONE_LABEL, "")
    sub_zone = labels.get(SUBZONE_LABEL, "")
    return f"{region}/{zone}/{sub_zone}" if region or zone or sub_zone else ""


def augment(labels: Mapping[str, str], cluster: str, locality: str, node: str, network: str) -> dict[str, str]:
    """The labels with what the registry knows of the place (Istio's ``AugmentLabels``)."""
    region, zone, sub_zone = split_locality(locality)
    added = {
        REGION_LABEL: region,
        ZONE_LABEL: zone,
        SUBZONE_LABEL: sub_zone,
        CLUSTER_LABEL: cluster,
        HOSTNAME_LABEL: node,
    }
    result = {**labels, **{name: value for name, value in added.items() if value}}
    if network and not result.get(NETWORK_LABEL):
        result[NETWORK_LABEL] = network
    return result


def canonical_service(labels: Mapping[str, str], workload_name: str) -> tuple[str, str]:
    """Canonical name and revision; the revision is ``latest`` when no label says it."""
    name = next((labels[key] for key in _CANONICAL_NAME_LABELS if key in labels), workload_name)
    return name, next((labels[key] for key in _CANONICAL_REVISION_LABELS if key in labels), "latest")
