"""Header operations of VirtualService routes and destinations."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOperations(Message):
    """``istio.networking.v1alpha3.Headers.HeaderOperations``: set overwrites, add appends, remove deletes."""

    set: Mapping[str, str] = EMPTY
    add: Mapping[str, str] = EMPTY
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers(Message):
    """``istio.networking.v1alpha3.Headers``: header operations of a route or of one destination."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None
