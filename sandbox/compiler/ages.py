"""The order of objects: the oldest first, then by name and namespace (Istio pilot/pkg/model/config.go)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from sandbox.istio.resource import Resource

ResourceT = TypeVar("ResourceT", bound=Resource[Any])

BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
"""Stands for a creation time nobody wrote: all such objects are equally old, and older than any other."""


def creation_order(resource: Resource[Any]) -> tuple[datetime, str, str]:
    """Istio's ``sortConfigByCreationTime``."""
    metadata = resource.metadata
    return metadata.creation_timestamp or BEFORE_ALL, metadata.name, metadata.namespace


def by_creation_time(resources: Iterable[ResourceT]) -> list[ResourceT]:
    """The objects in the order in which istiod considers them."""
    return sorted(resources, key=creation_order)
