"""The settings of the mesh, wherever they are written: a ConfigMap, an IstioOperator, Helm values, or bare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final, TypeVar

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.decode import decode_message, shape_of
from sandbox.istio.install_profiles import profile_environment, profile_key, profile_mesh
from sandbox.istio.mesh_config import DefaultProviders, MeshConfig
from sandbox.istio.mesh_defaults import DEFAULT_MESH_CONFIG, DEFAULT_PROXY_CONFIG
from sandbox.istio.message import EMPTY, Message
from sandbox.istio.misplaced_fields import Root
from sandbox.istio.proxy_config import ProxyConfig
from sandbox.istio.read_object import NotEmulated, ObjectReader
from sandbox.yaml_source.documents import parse_documents, split_documents
from sandbox.yaml_source.nodes import Source, YamlMapping, YamlSequence, block_source
from sandbox.yaml_source.place import OverlaidPlace
from sandbox.yaml_source.problems import Problem, Problems
from sandbox.yaml_source.span import ResourceRef

MessageT = TypeVar("MessageT", bound=Message)
CONFIG_MAP_NAME: Final = "istio"
CONFIG_MAP_KEY: Final = "mesh"
_CHART_PROVIDERS: Final = DefaultProviders(metrics=("prometheus",))


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """What one object says about the mesh; None and empty where it says nothing."""

    ref: ResourceRef
    mesh: MeshConfig | None = None
    profile: MeshConfig | None = None
    """What the installation's profile sets beneath all that is written."""
    pilot_env: Mapping[str, str] = EMPTY
    values: Mapping[str, object] = EMPTY
    problems: tuple[Problem, ...] = ()
    not_emulated: tuple[NotEmulated, ...] = ()


def is_mesh_config(document: object) -> bool:
    """Whether a document without apiVersion and kind can be a bare MeshConfig: only fields of one."""
    known = shape_of(MeshConfig).by_key
    return isinstance(document, YamlMapping) and bool(document) and document.keys() <= known.keys()


def is_operator_fragment(document: object) -> bool:
    """Whether a document without apiVersion and kind is the ``spec`` of an IstioOperator, as istioctl takes it too."""
    if not isinstance(document, YamlMapping) or document.keys() != {"spec"}:
        return False
    return bool(_mapping(document["spec"]).keys() & {"meshConfig", "values", "profile", "components"})


def read_config_map(document: YamlMapping, ref: ResourceRef, source: Source, text: str) -> MeshSettings | None:
    """The key ``mesh`` of the ConfigMap ``istio`` (or of a revision, ``istio-…``); None for other ConfigMaps."""
    data = document.get("data")
    if not _is_mesh_config_map(ref) or not isinstance(data, YamlMapping) or CONFIG_MAP_KEY not in data:
        return None
    written = data[CONFIG_MAP_KEY]
    mesh_ref = ResourceRef("MeshConfig", ref.namespace, ref.name)
    if not isinstance(written, str):
        return MeshSettings(ref=mesh_ref, mesh=MeshConfig())
    inner = block_source(source, text, *data.value_line_column(CONFIG_MAP_KEY))
    problems = Problems()
    documents = [found for chunk in split_documents(written) for found in parse_documents(inner, chunk.text, problems)]
    node = documents[0] if documents else None
    if not isinstance(node, YamlMapping):
        return MeshSettings(ref=mesh_ref, mesh=MeshConfig(), problems=tuple(problems))
    read = read_bare(node, inner, mesh_ref)
    _report_networks(data, source, problems)
    return replace(read, problems=(*problems, *read.problems))


def _report_networks(data: YamlMapping, source: Source, problems: Problems) -> None:
    """The key beside ``mesh``; an installation without several networks writes ``networks: {}``."""
    networks = data.get("meshNetworks")
    if isinstance(networks, str) and "".join(networks.split()) not in ("", "networks:{}"):
        span = source.span(*data.key_line_column("meshNetworks"))
        problems.at("SBX0201", "meshNetworks is not emulated: there is one network here", span, layer="sandbox")


def _is_mesh_config_map(ref: ResourceRef) -> bool:
    return ref.name == CONFIG_MAP_NAME or ref.name.startswith(CONFIG_MAP_NAME + "-")


def read_bare(node: YamlMapping, source: Source, ref: ResourceRef, path: str = "") -> MeshSettings:
    """A MeshConfig by itself."""
    reader = ObjectReader(ref, source, open_fields=False, has_schema=False)
    reader.root = Root(path, MeshConfig)
    mesh = decode_message(MeshConfig, node, reader, path)
    return MeshSettings(ref=ref, mesh=mesh, problems=tuple(reader.problems), not_emulated=tuple(reader.not_emulated))


def read_values(document: YamlMapping, ref: ResourceRef, source: Source) -> MeshSettings:
    """An IstioOperator (``spec.meshConfig``, ``spec.values``) or Helm values (``meshConfig``, ``pilot.env``)."""
    operator = ref.kind == "IstioOperator"
    spec = _mapping(document.get("spec")) if operator else document
    values = _mapping(spec.get("values")) if operator else document
    prefix = "spec." if operator else ""
    found = MeshSettings(ref=ref)
    for holder, path in ((values, prefix + "values.meshConfig"), (spec, prefix + "meshConfig")):
        node = holder.get("meshConfig")
        if isinstance(node, YamlMapping) and (found.mesh is None or holder is not values):
            found = read_bare(node, source, ref, path if operator else "meshConfig")
    chosen = profile_key(spec if operator else EMPTY, values)
    profile = profile_mesh(*chosen, source) if chosen is not None else None
    return replace(
        found,
        profile=read_bare(*profile, ref, prefix + "profile").mesh if profile is not None else None,
        pilot_env={**(profile_environment(chosen[1]) if chosen is not None else EMPTY), **_pilot_env(spec, values)},
        values=values,
    )


def _pilot_env(spec: Mapping[str, object], values: Mapping[str, object]) -> Mapping[str, str]:
    pilot = _mapping(values.get("pilot"))
    sampling = {"PILOT_TRACE_SAMPLING": _as_text(pilot["traceSampling"])} if pilot.get("traceSampling") else {}
    environment = sampling | {key: _as_text(value) for key, value in _mapping(pilot.get("env")).items()}
    components = _mapping(_mapping(_mapping(spec.get("components")).get("pilot")).get("k8s")).get("env")
    for entry in components if isinstance(components, YamlSequence) else ():
        if isinstance(entry, YamlMapping) and "name" in entry:
            environment[str(entry["name"])] = _as_text(entry.get("value"))
    return environment


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, YamlMapping) else EMPTY


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def with_defaults(settings: Iterable[MeshSettings]) -> MeshConfig:
    """The mesh configuration istiod works with: each written field overrides; proxy settings and providers merge."""
    mesh = DEFAULT_MESH_CONFIG
    settings = tuple(settings)
    for setting in settings:
        if setting.profile is not None:
            mesh = _override_mesh(mesh, setting.profile)
    for setting in settings:
        if setting.mesh is not None:
            mesh = _override_mesh(mesh, setting.mesh)
        namespace = _mapping(setting.values.get("global")).get("istioNamespace")
        if isinstance(namespace, str) and namespace and not mesh.written("root_namespace"):
            mesh = replace(mesh, root_namespace=namespace)
    return replace(mesh, default_providers=_CHART_PROVIDERS) if _chart_measures(settings) else mesh


def _chart_measures(settings: Sequence[MeshSettings]) -> bool:
    """Whether the chart writes Prometheus as provider of metrics (``default-prometheus`` in Istio's istiod chart).

    It does for an installation of which nothing is said, unless ``meshConfig.defaultProviders`` says anything, or the
    values switch it off. What it has made already is taken as it is.
    """
    for setting in settings:
        written = setting.mesh
        if written is not None and (written.default_providers is not None or _is_made_by_chart(written)):
            return False
        telemetry = _mapping(setting.values.get("telemetry"))
        version = _mapping(telemetry.get("v2"))
        if any(part.get("enabled") is False for part in (telemetry, version, _mapping(version.get("prometheus")))):
            return False
    return True


def _override_mesh(base: MeshConfig, written: MeshConfig) -> MeshConfig:
    mesh = _override(base, written)
    proxy = base.default_config or DEFAULT_PROXY_CONFIG
    if written.default_config is not None:
        proxy = merge_proxy_config(proxy, written.default_config)
    providers = list(base.extension_providers)
    for provider in written.extension_providers:
        known = next((index for index, other in enumerate(providers) if other.name == provider.name), None)
        if known is None:
            providers.append(provider)
        else:
            providers[known] = provider
    defaults = base.default_providers
    if written.default_providers is not None and defaults is not None:
        defaults = _override(defaults, written.default_providers)
    return replace(
        mesh,
        default_config=proxy,
        extension_providers=tuple(providers),
        default_providers=defaults,
        trust_domain_aliases=tuple(sorted({*base.trust_domain_aliases, *written.trust_domain_aliases})),
    )


def _is_made_by_chart(written: MeshConfig) -> bool:
    """The chart always says where istiod is; whoever writes a ConfigMap by hand has no reason to."""
    return written.default_config is not None and written.default_config.written("discovery_address")


def merge_proxy_config(base: ProxyConfig, written: ProxyConfig) -> ProxyConfig:
    """Proxy settings over others (Istio's ``MergeProxyConfig``, ``mergeWithPrecedence``): ``proxyMetadata`` adds up.

    A field overrides unless its value is the proto's zero; of ``proxyHeaders`` istiod inherits only those named here.
    """
    merged = _override(base, written, zeros=False)
    metadata = {**base.proxy_metadata, **written.proxy_metadata}
    headers = merged.proxy_headers
    if written.proxy_headers is not None and base.proxy_headers is not None:
        given, inherited = written.proxy_headers, base.proxy_headers
        headers = replace(
            given,
            forwarded_client_cert=(
                inherited.forwarded_client_cert
                if given.forwarded_client_cert == "UNDEFINED"
                else given.forwarded_client_cert
            ),
            request_id=given.request_id or inherited.request_id,
            attempt_count=given.attempt_count or inherited.attempt_count,
            server=given.server or inherited.server,
            envoy_debug_headers=given.envoy_debug_headers or inherited.envoy_debug_headers,
        )
    return replace(merged, proxy_metadata=metadata, proxy_headers=headers)


def _override(base: MessageT, written: MessageT, *, zeros: bool = True) -> MessageT:
    """``base`` with the fields that were written, null not counting as written, nor a zero without ``zeros``."""
    changes: dict[str, Any] = {"place": OverlaidPlace(written.place, base.place) if base.place else written.place}
    for field in fields(written):
        if field.name == "place" or written.place.value(field.name) is None:
            continue
        value = getattr(written, field.name)
        if zeros or value is None or value != field.default:
            changes.update(dict.fromkeys(_alternatives(written, field.name)))
            changes[field.name] = value
    return replace(base, **changes)


def _alternatives(message: Message, name: str) -> tuple[str, ...]:
    """The fields that a field of a oneof displaces."""
    return next((group for group in message.ONEOFS if name in group), ())
