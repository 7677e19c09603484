"""Which Telemetry resources apply to a proxy, and what they say together about logs and tracing.

Source: Istio pilot/pkg/model/telemetry.go. Both sides that are emulated (a sidecar's outbound side, a gateway)
are clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sandbox.compiler.policy_attachment import policies_for
from sandbox.frozen_dataclass import dataclass
from sandbox.istio.extension_provider import ExtensionProvider
from sandbox.istio.mesh_config import MeshConfig
from sandbox.istio.resource import Resource
from sandbox.istio.telemetry import AccessLogging, ProviderRef, Telemetry, Tracing
from sandbox.plan.because import Because

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext

TelemetryResource = Resource[Telemetry]
_CLIENT_MODES: Final = frozenset({"CLIENT", "CLIENT_AND_SERVER"})


def applicable_telemetries(push: PushContext, proxy: Proxy) -> tuple[TelemetryResource, ...]:
    """The root namespace's, the namespace's, then those that select the workload; later ones refine earlier ones."""
    attached: list[TelemetryResource] = policies_for(push.configuration, "Telemetry", proxy)
    wide: dict[str, TelemetryResource] = {}
    for item in attached:
        if not _selective(item.spec):
            wide.setdefault(item.namespace, item)
    namespaces = dict.fromkeys((push.root_namespace, proxy.namespace))
    return (
        *(wide[namespace] for namespace in namespaces if namespace in wide),
        *(item for item in attached if item.namespace == proxy.namespace and _selective(item.spec)),
    )


def _selective(spec: Telemetry) -> bool:
    selected = spec.selector is not None and bool(spec.selector.match_labels)
    return selected or spec.targetRef is not None or bool(spec.targetRefs)


def find_provider(mesh: MeshConfig, name: str) -> ExtensionProvider | None:
    """The extension provider of that name, in any case."""
    wanted = name.lower()
    return next((provider for provider in mesh.extension_providers if provider.name.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class ProviderLogging:
    """What is logged through one provider: ``setting`` decided it, None for the mesh's default provider."""

    disabled: bool = False
    expression: str | None = None
    setting: AccessLogging | None = None


def merge_access_logging(levels: Sequence[TelemetryResource], mesh: MeshConfig) -> dict[str, ProviderLogging] | None:
    """Provider to what is logged through it; None where neither Telemetry nor default providers speak of logs.

    A level that names providers replaces those of the levels above; filters are those of the last level.
    """
    logging = [item.spec.access_logging for item in levels if item.spec.access_logging]
    defaults = mesh.default_providers.access_logging if mesh.default_providers is not None else ()
    if not logging:
        return {name: ProviderLogging() for name in defaults} or None
    in_scope, filters = _named_providers(logging, defaults)
    merged: dict[str, ProviderLogging] = {}
    inherited: Sequence[str] = defaults
    for setting in (setting for level in logging for setting in level):
        inherited = _names(setting.providers) or inherited
        if not _for_clients(setting.match.mode if setting.match is not None else None):
            continue
        for name in inherited:
            if name in in_scope:
                found = replace(filters.get(name, ProviderLogging()), setting=setting)
                merged[name] = ProviderLogging(disabled=True, setting=setting) if setting.disabled else found
    return merged


def _named_providers(
    levels: Iterable[Sequence[AccessLogging]], defaults: Sequence[str]
) -> tuple[frozenset[str], dict[str, ProviderLogging]]:
    in_scope = frozenset(defaults)
    filters: dict[str, ProviderLogging] = {}
    for level in levels:
        of_level: set[str] = set()
        for setting in level:
            if not _for_clients(setting.match.mode if setting.match is not None else None):
                continue
            names = _names(setting.providers)
            of_level.update(names)
            expression = setting.filter.expression if setting.filter is not None else None
            filters.update((name, ProviderLogging(expression=expression)) for name in names)
        in_scope = frozenset(of_level) or in_scope
    return in_scope, filters


def _names(providers: Iterable[ProviderRef]) -> tuple[str, ...]:
    return tuple(provider.name for provider in providers)


def _for_clients(mode: str | None) -> bool:
    return mode is None or mode in _CLIENT_MODES


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """What Telemetry says about the client's side of tracing, where it or a default provider says anything."""

    provider: ExtensionProvider | None = None
    disabled: bool = False
    sampling: float | None = None
    use_request_id: bool = True
    disable_context_propagation: bool = False
    because: tuple[Because, ...] = ()


def merge_tracing(levels: Sequence[TelemetryResource], mesh: MeshConfig) -> TracingSettings | None:
    """The settings; None where neither Telemetry nor default providers speak of tracing."""
    tracings = [tracing for item in levels for tracing in item.spec.tracing]
    defaults = mesh.default_providers.tracing if mesh.default_providers is not None else ()
    if not tracings and not defaults:
        return None
    settings = TracingSettings(provider=find_provider(mesh, defaults[0]) if defaults else None)
    for tracing in tracings:
        if _for_clients(tracing.match.mode if tracing.match is not None else None):
            settings = _refine(settings, tracing, mesh)
    return settings if settings.provider is not None else replace(settings, disabled=True)


def _refine(settings: TracingSettings, tracing: Tracing, mesh: MeshConfig) -> TracingSettings:
    names = _names(tracing.providers)
    given: dict[str, Any] = {
        "disabled": tracing.disable_span_reporting,
        "sampling": tracing.random_sampling_percentage,
        "use_request_id": tracing.use_request_id_for_trace_sampling,
        "disable_context_propagation": tracing.disable_context_propagation,
    }
    return replace(
        settings,
        provider=find_provider(mesh, names[0]) if names else settings.provider,
        because=(*settings.because, Because("tracing", tracing.origin)),
        **{name: value for name, value in given.items() if value is not None},
    )
