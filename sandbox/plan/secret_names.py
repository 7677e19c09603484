"""The names by which a plan asks for certificates, each told to a proxy by istiod or by its own agent.

Source: Istio pilot/pkg/security/model/authentication.go (the agent's), pilot/pkg/model/credentials (istiod's).
"""

from __future__ import annotations

from typing import Final

WORKLOAD_CERTIFICATE: Final = "default"
"""The workload's own certificate and key."""
MESH_ROOT: Final = "ROOTCA"
"""The authorities of the mesh."""
FILE_CERTIFICATE: Final = "file-cert:"
"""Before the paths of a certificate and its key, with ``~`` between them."""
FILE_ROOT: Final = "file-root:"
"""Before the path of a file with authorities."""
SYSTEM_ROOT: Final = f"{FILE_ROOT}system"
"""The authorities that the proxy's machine trusts."""
KUBERNETES: Final = "kubernetes://"
"""Before the name of a Secret."""
CA_SUFFIX: Final = "-cacert"
"""After the name of a Secret of which only the authority is wanted."""


def file_certificate(chain: str, key: str) -> str:
    """The name for a pair of files."""
    return f"{FILE_CERTIFICATE}{chain}~{key}"
