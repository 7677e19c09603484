"""The kind ProxyConfig: proxy settings of selected workloads."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.scalars import Int32
from sandbox.istio.selector import WorkloadSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyImage(Message):
    """``istio.networking.v1beta1.ProxyImage``: which flavour of the proxy's image."""

    image_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig(Message):
    """``istio.networking.v1beta1.ProxyConfig``: concurrency, environment and image of selected proxies."""

    selector: WorkloadSelector | None = None
    concurrency: Int32 | None = None
    environment_variables: Mapping[str, str] = EMPTY
    image: ProxyImage | None = None
