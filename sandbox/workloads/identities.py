"""Certificates by which emulated workloads know each other: SPIFFE identities of a local authority."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.compiler.spiffe import identity_of
from sandbox.errors import SettingsError
from sandbox.loading.mounted_files import OUTPUT_CERTIFICATES, mounted_files
from sandbox.loading.secrets import secrets_of
from sandbox.proxy.secrets import PodFiles, SecretStore, WorkloadIdentity

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.istio.load import Configuration
    from sandbox.pki import Authority

MESH_CA = "EGRESS_MESH_CA"
WORKLOAD_CERT = "EGRESS_WORKLOAD_CERT"
WORKLOAD_KEY = "EGRESS_WORKLOAD_KEY"
CERTIFICATE, KEY = "ca.crt", "ca.key"
MESH_FOLDER = "mesh"
"""Beside the certificates of the embedded internet's hosts."""


class WorkloadIdentities:
    """Every workload of this process has one; made when it is first needed.

    ``EGRESS_WORKLOAD_CERT`` and ``EGRESS_WORKLOAD_KEY`` are those of ``own``, the workload that this process is run
    for; others have certificates of the local authority. ``EGRESS_MESH_CA`` is the folder of that authority (to be
    shared by several processes), or a file of the authorities that count in the mesh.
    """

    def __init__(self, environment: Mapping[str, str], own: str | None = None) -> None:
        """Raises ``SettingsError`` where what the environment says does not fit together."""
        self._own = own
        self._certificate = environment.get(WORKLOAD_CERT, "")
        self._key = environment.get(WORKLOAD_KEY, "") or self._certificate
        self._folder, self._given_root = _authority(environment.get(MESH_CA, ""))
        self.has_others = False
        """Other workloads are in this process, so that the local authority counts whatever else is given."""
        for name, file in ((WORKLOAD_CERT, self._certificate), (WORKLOAD_KEY, self._key), (MESH_CA, self._given_root)):
            if file and not Path(file).is_file():
                raise SettingsError(f"{name}={file}: there is no such file")
        if self._given_root and not self._certificate:
            raise SettingsError(
                f"{MESH_CA}={self._given_root} is a certificate without its key: give {WORKLOAD_CERT} and"
                f" {WORKLOAD_KEY} too, or a folder with {CERTIFICATE} and {KEY}"
            )

    def secrets_of(self, configuration: Configuration, proxy: Proxy) -> SecretStore:
        """What a workload's proxy may use: its own identity, Secrets of its namespace, and what its pod mounts."""
        known = secrets_of(configuration)
        files = PodFiles(
            mounted=mounted_files(configuration, known, f"{proxy.namespace}/{proxy.name}"),
            certificates=proxy.metadata.proxy_config.proxy_metadata.get(OUTPUT_CERTIFICATES, ""),
        )
        return SecretStore(known, proxy.namespace, partial(self.of, configuration, proxy), files)

    def of(self, configuration: Configuration, proxy: Proxy) -> WorkloadIdentity:
        """The identity of a workload's service account, as files."""
        if self._certificate and self._own in (None, f"{proxy.namespace}/{proxy.name}"):
            return WorkloadIdentity(certificate=self._certificate, key=self._key, roots=self._roots())
        authority = self._authority()
        account = proxy.service_account or "default"
        uri = identity_of(proxy, configuration.mesh.trust_domain)
        certificate, key = authority.leaf(f"{proxy.namespace}.{account}", (uri,))
        lock = str(authority.lock_file)
        return WorkloadIdentity(certificate=str(certificate), key=str(key), roots=self._roots(), lock=lock)

    def _roots(self) -> tuple[str, ...]:
        if self._given_root and not self.has_others:
            return (self._given_root,)
        local = str(self._authority().certificate_file)
        return (self._given_root, local) if self._given_root else (local,)

    def _authority(self) -> Authority:
        from sandbox.pki import Authority, default_directory  # only meshes with several nodes need certificates

        return Authority(self._folder or default_directory() / MESH_FOLDER)


def _authority(given: str) -> tuple[Path | None, str]:
    """The folder of an authority that can issue (``None``: the usual one), and the file of roots alone."""
    if not given:
        return None, ""
    path = Path(given)
    if path.is_dir() or not (path.suffix or path.exists()):
        return path, ""
    if path.name == CERTIFICATE and (path.parent / KEY).exists():
        return path.parent, ""
    return None, given


def mesh_folder(environment: Mapping[str, str]) -> Path:
    """Where the certificates of emulated workloads are."""
    from sandbox.pki import default_directory

    return _authority(environment.get(MESH_CA, ""))[0] or default_directory() / MESH_FOLDER
