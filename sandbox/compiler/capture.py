"""Capture settings of a workload: pod annotations over SidecarProxySettings over Helm values over injection's defaults.

Source: Istio manifests/charts/istio-control/istio-discovery/files/injection-template.yaml, pkg/kube/inject/validate.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import field

from sandbox.compiler.find_proxy import find_workload
from sandbox.compiler.proxy import Proxy
from sandbox.compiler.sidecar_proxy_settings import settings_of
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.load import Configuration
from sandbox.istio.message import EMPTY
from sandbox.istio.resource import ObjectMeta, Resource
from sandbox.istio.sidecar_proxy_setting import SidecarProxySetting
from sandbox.plan.because import Because, IstioDefault
from sandbox.plan.capture import CaptureSettings
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.span import Origin

PREFIX = "traffic.sidecar.istio.io/"
INTERCEPTION_MODE = "sidecar.istio.io/interceptionMode"
MODES = ("REDIRECT", "TPROXY", "NONE")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """One list of addresses or ports: where it may be written, and what it means."""

    field: str
    annotation: str
    value: str | None
    """Name below Helm's ``global.proxy``, and in a SidecarProxySetting."""
    default: str
    says: str
    parse: Callable[[str], tuple[str, ...]]


def parse_ranges(text: str) -> tuple[str, ...]:
    """Comma-separated CIDR blocks, or ``*``; as strict as the injector, which refuses a bare address."""
    if text.strip() == "*":
        return ("*",)
    ranges = tuple(part for part in text.split(",") if part)
    for part in ranges:
        if "/" not in part or part != part.strip():
            raise ValueError(f"{part!r} is no address range such as 10.0.0.0/24")
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            raise ValueError(f"{part!r} is no address range such as 10.0.0.0/24") from None
    return ranges


def parse_excluded_ranges(text: str) -> tuple[str, ...]:
    """Comma-separated CIDR blocks; ``*`` is refused."""
    ranges = parse_ranges(text)
    if "*" in ranges:
        raise ValueError("'*' cannot be excluded; to capture nothing leave the included ranges empty")
    return ranges


def parse_ports(text: str) -> tuple[str, ...]:
    """Comma-separated port numbers."""
    ports = tuple(part.strip() for part in text.split(",") if part.strip())
    for port in ports:
        if not (port.isascii() and port.isdigit() and int(port) <= 65535):
            raise ValueError(f"{port!r} is no port")
    return ports


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


SETTINGS = (
    _Setting(
        field="include_ip_ranges",
        annotation="includeOutboundIPRanges",
        value="includeIPRanges",
        default="*",
        says="all addresses are captured",
        parse=parse_ranges,
    ),
    _Setting(
        field="exclude_ip_ranges",
        annotation="excludeOutboundIPRanges",
        value="excludeIPRanges",
        default="",
        says="no range is left out",
        parse=parse_excluded_ranges,
    ),
    _Setting(
        field="include_ports",
        annotation="includeOutboundPorts",
        value="includeOutboundPorts",
        default="",
        says="no port is captured beyond the ranges",
        parse=parse_ports,
    ),
    _Setting(
        field="exclude_ports",
        annotation="excludeOutboundPorts",
        value="excludeOutboundPorts",
        default="",
        says="no port is left out",
        parse=parse_ports,
    ),
    _Setting(
        field="exclude_interfaces",
        annotation="excludeInterfaces",
        value=None,
        default="",
        says="no interface is left out",
        parse=_words,
    ),
)


_FIELDS = {
    "include_ip_ranges": "include_ip_ranges",
    "exclude_ip_ranges": "exclude_ip_ranges",
    "include_ports": "include_outbound_ports",
    "exclude_ports": "exclude_outbound_ports",
}
"""Our fields, and those of a SidecarProxySetting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureInputs:
    """What decides about capture: the pod's metadata, Helm values, and whether and of whom DNS is captured."""

    metadata: ObjectMeta | None = None
    values: Mapping[str, object] = EMPTY
    settings: tuple[Resource[SidecarProxySetting], ...] = ()
    """Those that hold for the pod, the most particular first."""
    interception_mode: str = "REDIRECT"
    """Where no annotation says another."""
    dns_capture: bool = False
    dns_origin: Origin | None = None
    nameservers: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Settings of the command line, by field name; they win over everything."""


def capture_inputs(
    configuration: Configuration, proxy: Proxy, nameservers: tuple[str, ...] = (), overrides: Mapping[str, str] = EMPTY
) -> CaptureInputs:
    """What the files say for a workload; ``nameservers`` are those of its resolver, if its proxy captures DNS."""
    workload = find_workload(configuration, f"{proxy.namespace}/{proxy.name}")
    return CaptureInputs(
        metadata=None if workload is None else workload.metadata,
        values=configuration.values,
        settings=settings_of(configuration, proxy.namespace, proxy.labels),
        interception_mode=proxy.metadata.interception_mode,
        dns_capture=proxy.metadata.dns_capture,
        nameservers=nameservers,
        overrides=overrides,
    )


def build_capture_settings(inputs: CaptureInputs, problems: Problems) -> CaptureSettings:
    """The settings with the reason for each; one that is wrong is reported and its default holds."""
    values: dict[str, tuple[str, ...]] = {}
    reasons: dict[str, Because] = {}
    for setting in SETTINGS:
        text, because = _written(setting, inputs)
        try:
            values[setting.field] = setting.parse(text)
        except ValueError as error:
            origin = because.origin if isinstance(because.origin, Origin) else None
            problems.report("SBX0601", f"capture setting {setting.annotation}: {error}", origin)
            values[setting.field] = setting.parse(setting.default)
        reasons[setting.field] = because
    reasons["redirect_dns"] = _dns_reason(inputs)
    mode, reasons["interception_mode"] = _mode(inputs, problems)
    return CaptureSettings(
        include_ip_ranges=values["include_ip_ranges"],
        exclude_ip_ranges=values["exclude_ip_ranges"],
        include_ports=tuple(int(port) for port in values["include_ports"]),
        exclude_ports=tuple(int(port) for port in values["exclude_ports"]),
        exclude_interfaces=values["exclude_interfaces"],
        redirect_dns=inputs.dns_capture,
        dns_servers=inputs.nameservers,
        interception_mode=mode,
        reasons=reasons,
    )


def _written(setting: _Setting, inputs: CaptureInputs) -> tuple[str, Because]:
    if setting.field in inputs.overrides:
        return inputs.overrides[setting.field], Because(setting.field, IstioDefault("given on the command line"))
    annotation = PREFIX + setting.annotation
    metadata = inputs.metadata
    if metadata is not None and annotation in metadata.annotations:
        origin = metadata.origin_of("annotations", annotation)
        return metadata.annotations[annotation], Because(f"annotation {annotation}", origin)
    for resource in inputs.settings:
        given: str | None = getattr(resource.spec, _FIELDS[setting.field], None) if setting.field in _FIELDS else None
        if given is not None:
            because = Because(
                f"{setting.value} of SidecarProxySetting", resource.spec.origin_of(_FIELDS[setting.field])
            )
            return given, because
    written = _proxy_values(inputs.values).get(setting.value or "")
    if isinstance(written, str | int) and str(written) != setting.default:
        rule = f"Helm value global.proxy.{setting.value}: {written}"
        return str(written), Because(f"Helm value global.proxy.{setting.value}", IstioDefault(rule))
    return setting.default, Because(setting.field, IstioDefault(setting.says))


def _proxy_values(values: Mapping[str, object]) -> Mapping[str, object]:
    for key in ("global", "proxy"):
        inner = values.get(key)
        values = inner if isinstance(inner, Mapping) else EMPTY
    return values


def _dns_reason(inputs: CaptureInputs) -> Because:
    if inputs.dns_origin is not None:
        return Because("ISTIO_META_DNS_CAPTURE", inputs.dns_origin)
    said = "on" if inputs.dns_capture else "off"
    return Because("DNS capture", IstioDefault(f"DNS capture is {said} (ISTIO_META_DNS_CAPTURE)"))


def _mode(inputs: CaptureInputs, problems: Problems) -> tuple[str, Because]:
    metadata = inputs.metadata
    if metadata is None or INTERCEPTION_MODE not in metadata.annotations:
        said = IstioDefault(f"interception mode is {inputs.interception_mode}")
        return inputs.interception_mode, Because("interception mode", said)
    origin = metadata.origin_of("annotations", INTERCEPTION_MODE)
    mode = metadata.annotations[INTERCEPTION_MODE]
    if mode not in MODES:
        problems.report(
            "SBX0601", f"interception mode {mode!r} is none of {', '.join(MODES)}", origin, hint="leave it out"
        )
        mode = "REDIRECT"
    return mode, Because(f"annotation {INTERCEPTION_MODE}", origin)
