"""The kind SidecarProxySetting, our own: what a vendor's console sets about sidecars, where Istio has annotations.

Alibaba Cloud Service Mesh has an API for it and no kind (``UpdateMeshFeature``, ``UpdateNamespaceScopeSidecarConfig``
and their like); the fields are that API's, in camelCase. Other vendors' consoles offer the same ones.
"""

from __future__ import annotations

from typing import Final, Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message
from sandbox.istio.selector import WorkloadSelector

OWN_GROUP: Final = "egress-sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarProxySetting(Message):
    """Of all sidecars in the root namespace, of a namespace's elsewhere, of those selected with a selector.

    ``None`` is not set: what is less particular decides.
    """

    selector: WorkloadSelector | None = None
    include_ip_ranges: str | None = None
    exclude_ip_ranges: str | None = None
    include_outbound_ports: str | None = None
    exclude_outbound_ports: str | None = None
    dns_proxying_enabled: bool | None = None
    interception_mode: Literal["REDIRECT", "TPROXY", "NONE"] | None = None
