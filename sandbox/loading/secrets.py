"""Secrets and ConfigMaps of a configuration, as the data that a pod would find in them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.istio.load import Configuration


def secrets_of(configuration: Configuration) -> Mapping[str, Mapping[str, bytes]]:
    """The data of every Secret and ConfigMap with certificates, by ``namespace/name``."""
    found: dict[str, Mapping[str, bytes]] = {}
    for kind in ("ConfigMap", "Secret"):
        for resource in configuration.resources(kind):
            data: dict[str, bytes] = {}
            if kind == "Secret":
                data |= {key: _decoded(text) for key, text in resource.spec.data.items()}
                data |= {key: text.encode() for key, text in resource.spec.string_data.items()}
            else:
                data |= {key: text.encode() for key, text in resource.spec.data.items()}
            found[f"{resource.metadata.namespace}/{resource.metadata.name}"] = data
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""
