"""Services an extension provider calls."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpHeader(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.HttpHeader``: a header sent with each export."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("value", "env_name"),)

    name: str = ""
    value: str | None = None
    env_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpService(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.HttpService``: an export by HTTP."""

    path: str = ""
    timeout: timedelta | None = None
    headers: tuple[HttpHeader, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcService(Message):
    """``istio.mesh.v1alpha1.MeshConfig.ExtensionProvider.GrpcService``: an export by gRPC."""

    timeout: timedelta | None = None
    initial_metadata: tuple[HttpHeader, ...] = ()
