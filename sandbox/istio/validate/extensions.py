"""Kinds that are checked and not emulated: EnvoyFilter, WasmPlugin, TrafficExtension; and the kind ProxyConfig."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sandbox.istio.envoy_filter import EnvoyConfigObjectPatch, EnvoyFilter
from sandbox.istio.message import Message
from sandbox.istio.resource import Resource
from sandbox.istio.traffic_extension import TrafficExtension, WasmConfig
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.primitives import port_fault
from sandbox.istio.validate.regex import compile_fault
from sandbox.istio.validate.shared import check_attachment, check_policy_selector, check_selector
from sandbox.istio.wasm_plugin import VmConfig, WasmPlugin
from sandbox.istio.workload_proxy_config import ProxyConfig

_LISTENER_PATCHES: Final = ("LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER")
_ROUTE_PATCHES: Final = ("ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE")
_SHA256: Final = re.compile("[a-f0-9]{64}")
_SCHEMES: Final = frozenset({"", "file", "http", "https", "oci"})
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def validate_proxy_config(resource: Resource[ProxyConfig], findings: Findings) -> None:
    """Selector and concurrency."""
    check_policy_selector(resource.spec.selector, findings)
    if (resource.spec.concurrency or 0) < 0:
        findings.error("concurrency must be greater than or equal to 0", resource.spec, "concurrency")


def validate_envoy_filter(resource: Resource[EnvoyFilter], findings: Findings) -> None:
    """The frame of each patch; what it puts into Envoy's configuration is not looked at."""
    spec = resource.spec
    sound, labelled = check_selector(spec.workload_selector, findings)
    if not sound:
        return
    findings.warn("EnvoyFilter exposes internal implementation details that may change at any time", spec)
    if spec.workload_selector is not None and not labelled:
        message = "workload selector specified without labels, will be applied to all services in namespace"
        findings.warn(message, spec.workload_selector)
    for patch in spec.config_patches:
        if patch.match is None or patch.match.context != "WAYPOINT":
            _check_patch(patch, findings)


def _check_patch(config: EnvoyConfigObjectPatch, findings: Findings) -> None:
    if config.apply_to == "INVALID":
        findings.error("missing applyTo", config)
    elif config.patch is None:
        findings.error("missing patch", config)
    elif config.patch.operation == "INVALID":
        findings.error("missing patch operation", config.patch)
    elif config.patch.operation != "REMOVE" and config.patch.value is None:
        findings.error("missing patch value for non-remove operation", config.patch)
    else:
        _check_patch_match(config, findings)


def _check_patch_match(config: EnvoyConfigObjectPatch, findings: Findings) -> None:
    match = config.match
    if match is None:
        return
    if match.proxy is not None and match.proxy.proxy_version:
        findings.check(compile_fault(match.proxy.proxy_version), match.proxy, "proxy_version")
    objects = {"listener": match.listener, "route_configuration": match.route_configuration, "cluster": match.cluster}
    wanted = (
        "listener"
        if config.apply_to in _LISTENER_PATCHES
        else "route_configuration"
        if config.apply_to in _ROUTE_PATCHES
        else "cluster"
        if config.apply_to == "CLUSTER"
        else ""
    )
    if wanted and objects[wanted] is None and any(each is not None for each in objects.values()):
        findings.error(f"applyTo {config.apply_to} needs a {wanted} match", match)


def validate_wasm_plugin(resource: Resource[WasmPlugin], findings: Findings) -> None:
    """Where the module comes from, and what it attaches to."""
    spec = resource.spec
    check_attachment(spec, spec.selector, spec.targetRef, spec.targetRefs, findings)
    _check_module(spec, findings)
    _check_ports(spec.match, findings)


def validate_traffic_extension(resource: Resource[TrafficExtension], findings: Findings) -> None:
    """Either a WebAssembly module or Lua code."""
    spec = resource.spec
    if (spec.wasm is None) == (spec.lua is None):
        findings.error("exactly one of wasm or lua must be set", spec)
    check_attachment(spec, spec.selector, None, spec.targetRefs, findings)
    if spec.lua is not None and not spec.lua.inline_code:
        findings.error("lua.inlineCode cannot be empty", spec.lua)
    elif spec.lua is not None and len(spec.lua.inline_code.encode()) > 65536:
        findings.error("lua.inlineCode exceeds maximum size of 64KB", spec.lua, "inline_code")
    if spec.wasm is not None:
        _check_module(spec.wasm, findings)
    _check_ports(spec.match, findings)


def _check_module(module: WasmPlugin | WasmConfig, findings: Findings) -> None:
    scheme = _SCHEME.match(module.url)
    if not module.url:
        findings.error("url field needs to be set", module)
    elif scheme is not None and scheme[1].lower() not in _SCHEMES:
        findings.error(f"url contains unsupported scheme: {scheme[1]}", module, "url")
    if module.sha256 and not _SHA256.fullmatch(module.sha256):
        findings.error("sha256 must be 64 characters of a-f and 0-9", module, "sha256")
    if len(module.image_pull_secret) > 253:
        findings.error("imagePullSecret must be less than 253 characters long", module, "image_pull_secret")
    if len(module.plugin_name) > 256:
        findings.error("pluginName must be less than 255 characters long", module, "plugin_name")
    if module.vm_config is not None:
        _check_environment(module.vm_config, findings)


def _check_environment(vm: VmConfig, findings: Findings) -> None:
    seen: set[str] = set()
    for variable in vm.env:
        if not variable.name or len(variable.name) > 256:
            findings.error("env.name must have 1 to 256 characters", variable)
        elif variable.name in seen:
            findings.error(f"duplicate env {variable.name}", variable)
        elif variable.value_from != "INLINE" and variable.value:
            findings.error("value may only be set when valueFrom is INLINE", variable, "value")
        seen.add(variable.name)


def _check_ports(selectors: Sequence[Message], findings: Findings) -> None:
    for selector in selectors:
        for port in getattr(selector, "ports", ()):
            findings.check(port_fault(port.number), port, "number")
