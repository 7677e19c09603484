"""PeerAuthentication."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import UInt32
from sandbox.istio.selector import WorkloadSelector

MutualTLSMode = Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]
"""``istio.security.v1beta1.PeerAuthentication.MutualTLS.Mode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualTLS(Message):
    """``istio.security.v1beta1.PeerAuthentication.MutualTLS``: whether clients must use mutual TLS."""

    mode: MutualTLSMode = "UNSET"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAuthentication(Message):
    """``istio.security.v1beta1.PeerAuthentication``: mutual TLS of inbound traffic."""

    selector: WorkloadSelector | None = None
    mtls: MutualTLS | None = None
    port_level_mtls: Mapping[UInt32, MutualTLS] = EMPTY
