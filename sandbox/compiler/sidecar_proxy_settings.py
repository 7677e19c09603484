"""Which SidecarProxySettings hold for a workload, the most particular first."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.compiler.ages import by_creation_time
from sandbox.compiler.label_selectors import selects
from sandbox.istio.load import Configuration
from sandbox.istio.resource import Resource
from sandbox.istio.sidecar_proxy_setting import SidecarProxySetting


def settings_of(
    configuration: Configuration, namespace: str, labels: Mapping[str, str]
) -> tuple[Resource[SidecarProxySetting], ...]:
    """1. those that select the workload in its namespace, 2. its namespace's, 3. all sidecars', in the root namespace;
    of each level the oldest first.
    """
    found = by_creation_time(configuration.resources("SidecarProxySetting"))
    own = [each for each in found if each.namespace == namespace]
    selecting = [
        each
        for each in own
        if each.spec.selector is not None
        and each.spec.selector.match_labels
        and selects(each.spec.selector.match_labels, labels)
    ]
    general = [each for each in own if each.spec.selector is None]
    root = configuration.root_namespace
    everywhere = [each for each in found if each.namespace == root != namespace and each.spec.selector is None]
    return (*selecting, *general, *everywhere)
