"""The secrets that an exported bootstrap needs: what istiod's agent would hand out under each name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sandbox.cli.loading import Compiled
from sandbox.loading.mounted_files import mounted_files
from sandbox.loading.secrets import secrets_of
from sandbox.plan.secret_names import (
    CA_SUFFIX,
    FILE_CERTIFICATE,
    FILE_ROOT,
    KUBERNETES,
    MESH_ROOT,
    SYSTEM_ROOT,
    WORKLOAD_CERTIFICATE,
)
from sandbox.workloads.identities import WorkloadIdentities

if TYPE_CHECKING:
    from sandbox.envoy_config.bootstrap import SecretOf
    from sandbox.envoy_config.codec import Json

SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


def secrets_for(compiled: Compiled) -> SecretOf:
    """By istiod's names: ``default`` and ``ROOTCA`` of the workload, files, and Secrets of the configuration."""
    known = secrets_of(compiled.configuration)
    namespace = compiled.proxy.namespace
    mounted = mounted_files(compiled.configuration, known, f"{namespace}/{compiled.proxy.name}")

    def file(path: str) -> dict[str, Json]:
        return _inline(mounted[path]) if path in mounted else {"filename": path}

    def secret_of(name: str) -> dict[str, Json] | None:
        if name in (WORKLOAD_CERTIFICATE, MESH_ROOT):
            return _workload_secret(name, compiled)
        if name.startswith(FILE_ROOT):
            path = SYSTEM_ROOTS if name == SYSTEM_ROOT else name.removeprefix(FILE_ROOT)
            return {"validation_context": {"trusted_ca": file(path)}}
        if name.startswith(FILE_CERTIFICATE):
            chain, _, key = name.removeprefix(FILE_CERTIFICATE).partition("~")
            return {"tls_certificate": {"certificate_chain": file(chain), "private_key": file(key)}}
        credential = name.removeprefix(KUBERNETES).removesuffix(CA_SUFFIX)
        data = known.get(credential if "/" in credential else f"{namespace}/{credential}")
        return _kubernetes_secret(data, name.endswith(CA_SUFFIX)) if data else None

    return secret_of


def _workload_secret(name: str, compiled: Compiled) -> dict[str, Json]:
    """Of the workload's own identity, so that the real Envoy and our nodes know each other."""
    own = f"{compiled.proxy.namespace}/{compiled.proxy.name}"
    identity = WorkloadIdentities(os.environ, own).of(compiled.configuration, compiled.proxy)
    if name == MESH_ROOT:
        return {"validation_context": {"trusted_ca": {"filename": identity.roots[0]}}}
    chain, key = {"filename": identity.certificate}, {"filename": identity.key}
    return {"tls_certificate": {"certificate_chain": chain, "private_key": key}}


def _kubernetes_secret(data: Mapping[str, bytes], is_authority: bool) -> dict[str, Json] | None:
    chain, key = data.get("tls.crt", data.get("cert")), data.get("tls.key", data.get("key"))
    authority = data.get("ca.crt", data.get("cacert"))
    if is_authority:
        return {"validation_context": {"trusted_ca": _inline(authority)}} if authority else None
    if chain is None or key is None:
        return None
    return {"tls_certificate": {"certificate_chain": _inline(chain), "private_key": _inline(key)}}


def _inline(text: bytes) -> dict[str, Json]:
    return {"inline_string": text.decode("utf-8", "replace")}
