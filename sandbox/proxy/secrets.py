"""SecretStore: certificates and keys by istiod's resource names, from files or from Secrets of the configuration."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from sandbox.frozen_dataclass import dataclass
from sandbox.plan.secret_names import (
    CA_SUFFIX,
    FILE_CERTIFICATE,
    FILE_ROOT,
    KUBERNETES,
    MESH_ROOT,
    SYSTEM_ROOT,
    WORKLOAD_CERTIFICATE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretData:
    """PEM bytes; what a secret does not have is empty."""

    certificate_chain: bytes = b""
    private_key: bytes = b""
    root_certificates: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadIdentity:
    """Files that pilot-agent would provide: the workload's certificate and key, and the mesh's root."""

    certificate: str = ""
    key: str = ""
    roots: tuple[str, ...] = ()
    lock: str = ""
    """A file that is locked by who renews certificate and key, so that nobody reads one new and one old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFiles:
    """What a proxy finds in its pod besides this machine's files, by path."""

    mounted: Mapping[str, bytes] = field(default_factory=dict)
    certificates: str = ""
    """The directory to which pilot-agent writes the workload's certificate (``OUTPUT_CERTS``)."""


NO_FILES: Final = PodFiles()
IdentitySource = Callable[[], WorkloadIdentity]
"""Asked when the first certificate is needed, which in most meshes is never."""


class SecretStore:
    """Looks secrets up by name; ``kubernetes`` maps ``namespace/name`` to a Secret's decoded data."""

    def __init__(
        self,
        kubernetes: Mapping[str, Mapping[str, bytes]] | None = None,
        namespace: str = "default",
        identity: IdentitySource = WorkloadIdentity,
        files: PodFiles = NO_FILES,
    ) -> None:
        self._kubernetes = kubernetes or {}
        self._namespace = namespace
        self._identity_source = identity
        self._known_identity: WorkloadIdentity | None = None
        self._files = files
        self.further_roots: str | None = None
        """A file of authorities that count as the system's too: the embedded internet's."""

    @property
    def _identity(self) -> WorkloadIdentity:
        if self._known_identity is None:
            self._known_identity = self._identity_source()
        return self._known_identity

    def get(self, name: str) -> SecretData | None:
        """The secret; ``None`` where a file or Secret is missing (Envoy would wait for it)."""
        try:
            with _shared(self._lock_of(name)):
                return self._get(name)
        except OSError:
            return None

    def _lock_of(self, name: str) -> str:
        is_own = name == WORKLOAD_CERTIFICATE or (name.startswith(FILE_CERTIFICATE) and self._files.certificates)
        return self._identity.lock if is_own else ""

    def stamp(self, name: str) -> tuple[float, ...]:
        """Changes when the secret's files change."""
        return tuple(_modified(path) for path in self._paths(name))

    def _get(self, name: str) -> SecretData | None:
        if name.startswith(FILE_CERTIFICATE):
            chain, key = self._paths(name)[:2]
            return SecretData(certificate_chain=self._file(chain), private_key=self._file(key))
        if name == WORKLOAD_CERTIFICATE and self._identity.certificate:
            chain, key = self._paths(name)
            return SecretData(certificate_chain=Path(chain).read_bytes(), private_key=Path(key).read_bytes())
        if name == MESH_ROOT and self._identity.roots:
            return SecretData(root_certificates=self._mesh_roots())
        if name.startswith(FILE_ROOT):
            return SecretData(root_certificates=self._file(name.removeprefix(FILE_ROOT)))
        if name.startswith(KUBERNETES):
            return self._from_kubernetes(name.removeprefix(KUBERNETES))
        return None

    def _mesh_roots(self) -> bytes:
        return b"\n".join(Path(root).read_bytes() for root in self._identity.roots)

    def _file(self, path: str) -> bytes:
        """What the pod mounts there, what its agent writes there, else this machine's file."""
        if path in self._files.mounted:
            return self._files.mounted[path]
        directory, _, name = path.rpartition("/")
        if not self._files.certificates or directory != self._files.certificates.rstrip("/"):
            return Path(path).read_bytes()
        if name == "root-cert.pem":
            return self._mesh_roots()
        written = {"cert-chain.pem": self._identity.certificate, "key.pem": self._identity.key}
        return Path(written.get(name, path)).read_bytes()

    def _paths(self, name: str) -> list[str]:
        if name.startswith(FILE_CERTIFICATE):
            return name.removeprefix(FILE_CERTIFICATE).split("~")
        if name.startswith(FILE_ROOT) and name != SYSTEM_ROOT:
            return [name.removeprefix(FILE_ROOT)]
        if name == WORKLOAD_CERTIFICATE:
            return [self._identity.certificate, self._identity.key]
        return list(self._identity.roots) if name == MESH_ROOT else []

    def _from_kubernetes(self, name: str) -> SecretData | None:
        wants_root = name.endswith(CA_SUFFIX)
        names = (name, name.removesuffix(CA_SUFFIX)) if wants_root else (name,)
        for each in names:
            data = self._kubernetes.get(each) or self._kubernetes.get(f"{self._namespace}/{each}")
            if data is None:
                continue
            root = data.get("ca.crt") or data.get("cacert") or b""
            if wants_root:
                return SecretData(root_certificates=root)
            return SecretData(
                certificate_chain=data.get("tls.crt") or data.get("cert") or b"",
                private_key=data.get("tls.key") or data.get("key") or b"",
                root_certificates=root,
            )
        return None


def _modified(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


@contextlib.contextmanager
def _shared(lock: str) -> Iterator[None]:
    """While nobody holds the file for writing (that takes a few milliseconds); without a file, at once."""
    if not os.path.exists(lock):
        yield
        return
    descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
