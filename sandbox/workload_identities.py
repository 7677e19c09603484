"""Certificates by which emulated workloads know each other: SPIFFE identities of a local authority."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.compiler.spiffe import spiffe_uri
from sandbox.proxy.secrets import WorkloadIdentity, identity_of

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy


class WorkloadIdentities:
    """Made when first asked for; what the environment gives (``EGRESS_WORKLOAD_CERT`` …) goes before."""

    def __init__(self, trust_domain: str) -> None:
        self._trust_domain = trust_domain

    def of(self, proxy: Proxy) -> WorkloadIdentity:
        """The identity of a workload's service account."""
        given = identity_of(os.environ)
        if given.certificate:
            return given
        from sandbox.pki import Authority, default_directory  # only meshes with several nodes need certificates

        authority = Authority(default_directory() / "mesh")
        account = proxy.service_account or "default"
        uri = spiffe_uri(self._trust_domain, proxy.namespace, account)
        certificate, key = authority.leaf(f"{proxy.namespace}.{account}", (uri,))
        return WorkloadIdentity(certificate=str(certificate), key=str(key), root=str(authority.certificate_file))
