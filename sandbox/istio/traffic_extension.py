"""TrafficExtension: recognised and checked for spelling, not emulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message
from sandbox.istio.scalars import Int32
from sandbox.istio.selector import PolicyTargetReference, PortSelector, WorkloadMode, WorkloadSelector
from sandbox.istio.wasm_plugin import FailStrategy, PluginType, PullPolicy, VmConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LuaConfig(Message):
    """``istio.extensions.v1alpha1.LuaConfig``: Lua code run for each request."""

    inline_code: str = ""


ExecutionPhase = Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]
"""``istio.extensions.v1alpha1.TrafficExtension.ExecutionPhase``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSelector(Message):
    """``istio.extensions.v1alpha1.TrafficSelector``: a direction and ports."""

    mode: WorkloadMode = "UNDEFINED"
    ports: tuple[PortSelector, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmConfig(Message):
    """``istio.extensions.v1alpha1.WasmConfig``: a WebAssembly module and its settings."""

    url: str = ""
    sha256: str = ""
    image_pull_policy: PullPolicy = "UNSPECIFIED_POLICY"
    image_pull_secret: str = ""
    verification_key: str = ""
    plugin_config: Mapping[str, object] | None = None
    plugin_name: str = ""
    fail_strategy: FailStrategy = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    type: PluginType = "UNSPECIFIED_PLUGIN_TYPE"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficExtension(Message):
    """``istio.extensions.v1alpha1.TrafficExtension``: code in the proxy, not emulated."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = (("wasm", "lua"),)

    selector: WorkloadSelector | None = None
    targetRefs: tuple[PolicyTargetReference, ...] = ()
    phase: ExecutionPhase = "UNSPECIFIED"
    priority: Int32 | None = None
    match: tuple[TrafficSelector, ...] = ()
    wasm: WasmConfig | None = None
    lua: LuaConfig | None = None
