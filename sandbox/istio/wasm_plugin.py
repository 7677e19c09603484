"""WasmPlugin: recognised and checked for spelling, not emulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.message import Message
from sandbox.istio.scalars import Int32
from sandbox.istio.selector import PolicyTargetReference, PortSelector, WorkloadMode, WorkloadSelector

FailStrategy = Literal["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]
"""``istio.extensions.v1alpha1.FailStrategy``."""

PluginPhase = Literal["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"]
"""``istio.extensions.v1alpha1.PluginPhase``."""

PluginType = Literal["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]
"""``istio.extensions.v1alpha1.PluginType``."""

PullPolicy = Literal["UNSPECIFIED_POLICY", "IfNotPresent", "Always"]
"""``istio.extensions.v1alpha1.PullPolicy``."""

EnvValueSource = Literal["INLINE", "HOST"]
"""``istio.extensions.v1alpha1.EnvValueSource``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvVar(Message):
    """``istio.extensions.v1alpha1.EnvVar``: an environment variable of the module."""

    name: str = ""
    value_from: EnvValueSource = "INLINE"
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VmConfig(Message):
    """``istio.extensions.v1alpha1.VmConfig``: the environment of the virtual machine."""

    env: tuple[EnvVar, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSelector(Message):
    """``istio.extensions.v1alpha1.WasmPlugin.TrafficSelector``: a direction and ports."""

    mode: WorkloadMode = "UNDEFINED"
    ports: tuple[PortSelector, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmPlugin(Message):
    """``istio.extensions.v1alpha1.WasmPlugin``: a WebAssembly module in the proxy, not emulated."""

    selector: WorkloadSelector | None = None
    targetRef: PolicyTargetReference | None = None
    targetRefs: tuple[PolicyTargetReference, ...] = ()
    url: str = ""
    sha256: str = ""
    image_pull_policy: PullPolicy = "UNSPECIFIED_POLICY"
    image_pull_secret: str = ""
    verification_key: str = ""
    plugin_config: Mapping[str, object] | None = None
    plugin_name: str = ""
    phase: PluginPhase = "UNSPECIFIED_PHASE"
    priority: Int32 | None = None
    fail_strategy: FailStrategy = "FAIL_CLOSE"
    vm_config: VmConfig | None = None
    match: tuple[TrafficSelector, ...] = ()
    type: PluginType = "UNSPECIFIED_PLUGIN_TYPE"
