"""The secrets that an exported bootstrap needs: what istiod's agent would hand out under each name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sandbox.cli.loading import Compiled
from sandbox.loading import secrets_of
from sandbox.pki import Authority, default_directory

if TYPE_CHECKING:
    from sandbox.envoy_config.bootstrap import SecretOf
    from sandbox.envoy_config.codec import Json

SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
WORKLOAD = "workload"
FILE_CERTIFICATE, FILE_ROOT, KUBERNETES, CA_SUFFIX = "file-cert:", "file-root:", "kubernetes://", "-cacert"


def secrets_for(compiled: Compiled) -> SecretOf:
    """By istiod's names: ``default`` and ``ROOTCA`` of the workload, files, and Secrets of the configuration."""
    known = secrets_of(compiled.configuration)
    namespace = compiled.proxy.namespace

    def secret_of(name: str) -> dict[str, Json] | None:
        if name in ("default", "ROOTCA"):
            return _workload_secret(name, compiled)
        if name.startswith(FILE_ROOT):
            path = name.removeprefix(FILE_ROOT)
            return {"validation_context": {"trusted_ca": {"filename": SYSTEM_ROOTS if path == "system" else path}}}
        if name.startswith(FILE_CERTIFICATE):
            chain, _, key = name.removeprefix(FILE_CERTIFICATE).partition("~")
            return {"tls_certificate": {"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}}
        credential = name.removeprefix(KUBERNETES).removesuffix(CA_SUFFIX)
        data = known.get(credential if "/" in credential else f"{namespace}/{credential}")
        return _kubernetes_secret(data, name.endswith(CA_SUFFIX)) if data else None

    return secret_of


def _workload_secret(name: str, compiled: Compiled) -> dict[str, Json]:
    authority = Authority(default_directory())
    if name == "ROOTCA":
        return {"validation_context": {"trusted_ca": {"filename": str(authority.certificate_file)}}}
    host = f"{compiled.proxy.name}.{compiled.proxy.namespace}"
    certificate, key = authority.leaf(WORKLOAD, [host])
    return {
        "tls_certificate": {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
    }


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
