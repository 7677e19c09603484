"""How mutual TLS is expected of workloads, as far as their clients must know.

Source: Istio pilot/pkg/model/authentication.go, pilot/pkg/security/authn/policy_applier.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sandbox.compiler.ages import by_creation_time
from sandbox.compiler.label_selectors import selects
from sandbox.istio.peer_authentication import MutualTLS, PeerAuthentication
from sandbox.istio.resource import Resource

UNSET = "UNSET"
PERMISSIVE = "PERMISSIVE"
Policy = Resource[PeerAuthentication]


class PeerAuthentications:
    """Modes by namespace and for single workloads; of several policies for one thing the oldest counts."""

    def __init__(self, policies: Iterable[Policy], root_namespace: str) -> None:
        self._root_namespace = root_namespace
        self._for_namespace: dict[str, Policy] = {}
        self._for_workloads: dict[str, list[Policy]] = {}
        for policy in by_creation_time(policies):
            if _for_all(policy):
                self._for_namespace.setdefault(policy.namespace, policy)
            elif policy.namespace != root_namespace:
                self._for_workloads.setdefault(policy.namespace, []).append(policy)

    def __bool__(self) -> bool:
        return bool(self._for_namespace or self._for_workloads)

    def namespace_mode(self, namespace: str) -> str | None:
        """DISABLE, PERMISSIVE or STRICT; None when neither the namespace nor the mesh has a policy."""
        policy = self._for_namespace.get(namespace)
        if policy is None or namespace == self._root_namespace:
            return self._mesh_mode()
        mode = _mode(policy.spec.mtls)
        return (self._mesh_mode() or PERMISSIVE) if mode == UNSET else mode

    def _mesh_mode(self) -> str | None:
        policy = self._for_namespace.get(self._root_namespace)
        if policy is None:
            return None
        mode = _mode(policy.spec.mtls)
        return PERMISSIVE if mode == UNSET else mode

    def workload_mode(self, namespace: str, labels: Mapping[str, str], port: int) -> str:
        """The mode of a workload's port (Istio's ``ComposePeerAuthentication``)."""
        workload = next(
            (
                policy
                for policy in self._for_workloads.get(namespace, ())
                if policy.spec.selector is not None and selects(policy.spec.selector.match_labels, labels)
            ),
            None,
        )
        own = self._for_namespace.get(namespace) if namespace != self._root_namespace else None
        mode = PERMISSIVE
        for policy in (self._for_namespace.get(self._root_namespace), own, workload):
            if policy is not None and _mode(policy.spec.mtls) != UNSET:
                mode = _mode(policy.spec.mtls)
        if workload is not None and port in workload.spec.port_level_mtls:
            own_mode = _mode(workload.spec.port_level_mtls[port])
            return mode if own_mode == UNSET else own_mode
        return mode


def _for_all(policy: Policy) -> bool:
    return policy.spec.selector is None or not policy.spec.selector.match_labels


def _mode(settings: MutualTLS | None) -> str:
    return UNSET if settings is None else settings.mode
