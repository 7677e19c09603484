"""Secrets that a plan needs of the configuration, and that are not there or are of no use.

istiod says nothing of them: its agent asks for a secret by name. Envoy waits for one that does not come, does not take
one that it cannot read, and closes every connection that would need it.
"""

from __future__ import annotations

import dataclasses
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.secret_names import CA_SUFFIX, KUBERNETES
from sandbox.plan.tls import DownstreamTlsContext, ProxyProtocolUpstreamTransport, TransportSocket, UpstreamTlsContext
from sandbox.proxy.secrets import SecretData, SecretStore
from sandbox.proxy.tls_context import secret_names

if TYPE_CHECKING:
    from sandbox.plan import NodePlan
    from sandbox.plan.because import Because
    from sandbox.plan.cluster import Cluster
    from sandbox.plan.listener import FilterChain, Listener


_Fault = tuple[str, "tuple[Because, ...]"]
"""What is wrong with a secret, and why it is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusableSecret:
    """Who needs a secret, and what is wrong with it."""

    user: str
    fault: str
    because: tuple[Because, ...] = ()

    def __str__(self) -> str:
        return f"{self.user} has no TLS: {self.fault}; Envoy closes its connections"


class SecretCheck:
    """Looks at every secret once; ``known`` are the configuration's, by ``namespace/name``."""

    def __init__(self, known: Mapping[str, Mapping[str, bytes]], namespace: str) -> None:
        self._store = SecretStore(known, namespace)
        self._namespace = namespace
        self._known = frozenset(known)
        self._faults: dict[str, str | None] = {}

    def unusable(self, plan: NodePlan) -> Iterator[UnusableSecret]:
        """All of them, in the order in which istiod sends what needs them."""
        for cluster in plan.clusters.values():
            if found := self._of_cluster(cluster):
                yield UnusableSecret(user=f"the cluster {cluster.name}", fault=found[0], because=found[1])
        for listener in plan.listeners:
            for chain in listener.filter_chains:
                if found := self._of_socket(chain.transport_socket):
                    user = f"{_described(chain)} of the listener {listener.name}"
                    yield UnusableSecret(user=user, fault=found[0], because=found[1] or chain.because)

    def fault_of(self, cluster: Cluster) -> str | None:
        """What is wrong with a secret that the cluster needs."""
        found = self._of_cluster(cluster)
        return None if found is None else found[0]

    def without_unusable(self, plan: NodePlan) -> NodePlan:
        """The plan for an Envoy to which nobody brings secrets later: it does not start if one is missing."""
        clusters = {name: cluster for name, cluster in plan.clusters.items() if not self._of_cluster(cluster)}
        listeners = [self._without_chains(listener) for listener in plan.listeners]
        return dataclasses.replace(
            plan, clusters=clusters, listeners=tuple(listener for listener in listeners if listener is not None)
        )

    def _without_chains(self, listener: Listener) -> Listener | None:
        """The listener with the chains that remain; ``None`` if there were some and none remains."""
        chains = tuple(chain for chain in listener.filter_chains if not self._of_socket(chain.transport_socket))
        if len(chains) == len(listener.filter_chains):
            return listener
        if not chains and listener.default_filter_chain is None:
            return None
        return dataclasses.replace(listener, filter_chains=chains)

    def _of_cluster(self, cluster: Cluster) -> _Fault | None:
        sockets = [cluster.transport_socket, *(match.transport_socket for match in cluster.transport_socket_matches)]
        return next((found for socket in sockets if (found := self._of_socket(socket))), None)

    def _of_socket(self, socket: TransportSocket | None) -> _Fault | None:
        config = socket.typed_config if socket is not None else None
        if isinstance(config, ProxyProtocolUpstreamTransport):
            return self._of_socket(config.transport_socket)
        if not isinstance(config, UpstreamTlsContext | DownstreamTlsContext):
            return None
        for name in secret_names(config.common_tls_context):
            if name.startswith(KUBERNETES) and (fault := self._fault(name)):
                return fault, config.because
        return None

    def _fault(self, name: str) -> str | None:
        if name not in self._faults:
            self._faults[name] = self._look_at(name)
        return self._faults[name]

    def _look_at(self, name: str) -> str | None:
        wanted = name.removeprefix(KUBERNETES)
        place = (wanted if "/" in wanted else f"{self._namespace}/{wanted}").removesuffix(CA_SUFFIX)
        secret = self._store.get(name)
        if secret is None:
            return self._missing(place)
        if name.endswith(CA_SUFFIX):
            return _fault_of_authority(secret, place)
        return _fault_of_certificate(secret, place)

    def _missing(self, place: str) -> str:
        """A proxy is given the Secrets of its own namespace alone."""
        name = place.rpartition("/")[2]
        others = sorted(each for each in self._known if each.rpartition("/")[2] == name and each != place)
        there = f" (there is {', '.join(others)})" if others else ""
        return f"there is no Secret {place}{there}"


def _described(chain: FilterChain) -> str:
    names = chain.filter_chain_match.server_names if chain.filter_chain_match else ()
    return f"the filter chain for {', '.join(names)}" if names else "the filter chain"


def _fault_of_authority(secret: SecretData, place: str) -> str | None:
    if not secret.root_certificates:
        return f"the Secret {place} has no ca.crt"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cadata=secret.root_certificates.decode("ascii", "ignore")
        )
    except (ssl.SSLError, ValueError):
        return f"the ca.crt of the Secret {place} is no certificate"
    return None


def _fault_of_certificate(secret: SecretData, place: str) -> str | None:
    if not secret.certificate_chain or not secret.private_key:
        return f"the Secret {place} has no tls.crt and tls.key"
    try:
        with tempfile.NamedTemporaryFile() as pem:  # the ssl module loads certificates only from files
            pem.write(secret.certificate_chain + b"\n" + secret.private_key)
            pem.flush()
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pem.name)
    except (ssl.SSLError, ValueError):
        return f"the tls.crt and tls.key of the Secret {place} are no certificate with its key"
    return None
