"""A Kubernetes object: type, metadata and the typed specification."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Generic, TypeVar

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.yaml_source.span import ResourceRef

SpecT = TypeVar("SpecT", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMeta(Message):
    """``metadata`` of an object; ``namespace`` is never empty for namespaced kinds once loaded."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = EMPTY
    annotations: Mapping[str, str] = EMPTY
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    """Set once the object is being deleted."""
    resource_version: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Message, Generic[SpecT]):
    """One object; ``spec`` is the typed message of its kind, ``status`` only where Istio reads it."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta
    spec: SpecT
    status: Message | None = None

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """``metadata.namespace``."""
        return self.metadata.namespace

    @property
    def ref(self) -> ResourceRef:
        """Kind, namespace and name."""
        return self.place.resource if self.place else ResourceRef(self.kind, self.namespace, self.name)
