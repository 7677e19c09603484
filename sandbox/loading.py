"""From settings to a plan: read, decode, validate, compile for one workload."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sandbox.cluster_addresses import with_cluster_addresses
from sandbox.config_files import read_texts
from sandbox.errors import ConfigError
from sandbox.given_endpoints import FILE as ENDPOINTS_FILE
from sandbox.given_endpoints import given_endpoints
from sandbox.kubernetes_text import ELSEWHERE
from sandbox.plan.because import IstioDefault
from sandbox.stand_in_gateways import FILE as STAND_IN_FILE
from sandbox.stand_in_gateways import gateway_workloads, stand_ins
from sandbox.yaml_source.problems import Problem, Problems, did_you_mean

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.istio.load import Configuration
    from sandbox.istio.load_cache import LoadCache
    from sandbox.match.cluster_names import ClusterNames
    from sandbox.plan import NodePlan
    from sandbox.plan.because import Because
    from sandbox.settings import Settings
    from sandbox.yaml_source.span import Origin

DEFAULT_LOG = "/dev/stdout"
MADE_UP_ADDRESS = "10.244.0.10"
DEFAULT_WORKLOAD = "egress-sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One load: the resources, the plan for our workload, and all findings."""

    configuration: Configuration
    plan: NodePlan
    proxy: Proxy
    problems: Problems
    push: PushContext
    """The indices that other workloads of the same configuration compile from."""
    logs_by_default: bool = False
    """Nobody has configured a mesh: the access log is on, as it is not in Istio."""


def load(
    settings: Settings,
    *,
    cache: LoadCache | None = None,
    logs_by_default: bool = False,
    previous: Loaded | None = None,
) -> Loaded:
    """Reads the files, decodes, validates, compiles. Raises ``ConfigError`` when any problem is an error.

    ``logs_by_default`` turns the access log on where no mesh configuration is given at all. From the load before
    (``previous``) comes what was made of objects that have not changed since.
    """
    from sandbox.collection_pause import collection_paused

    with collection_paused():
        loaded = _load(settings, cache, logs_by_default, previous)
        # What was loaded stays until the next load: no collection, also not the one that is due now, walks over it.
        gc.freeze()
    return loaded


def _load(settings: Settings, cache: LoadCache | None, logs_by_default: bool, previous: Loaded | None) -> Loaded:
    from sandbox.compiler import compile_node
    from sandbox.compiler.push_context import PushContext

    configuration = read_configuration(settings, cache)
    refused = refusals_of_istiod(configuration, previous.configuration if previous is not None else None)
    if configuration.problems.errors or refused:
        raise ConfigError(Problems(dict.fromkeys([*configuration.problems, *refused])))
    logs_by_default = logs_by_default and not configuration.mesh_given and not configuration.resources("Telemetry")
    if logs_by_default:
        mesh = dataclasses.replace(configuration.mesh, access_log_file=DEFAULT_LOG)
        configuration = dataclasses.replace(configuration, mesh=mesh)
    push = PushContext(configuration, previous.push if previous is not None else None)
    proxy = proxy_of(configuration, settings)
    plan = compile_node(push, proxy)
    report_refusals(plan, push)
    if push.problems.errors:
        raise ConfigError(push.problems)
    return Loaded(
        configuration=configuration,
        plan=plan,
        proxy=proxy,
        problems=push.problems,
        push=push,
        logs_by_default=logs_by_default,
    )


def load_workload(loaded: Loaded, settings: Settings) -> Loaded:
    """The same configuration for another workload; nothing is read again. Raises ``ConfigError``."""
    from sandbox.compiler import compile_node

    proxy = proxy_of(loaded.configuration, settings)
    plan = compile_node(loaded.push, proxy)
    report_refusals(plan, loaded.push)
    if loaded.push.problems.errors:
        raise ConfigError(loaded.push.problems)
    return dataclasses.replace(loaded, plan=plan, proxy=proxy)


def refusals_of_istiod(configuration: Configuration, previous: Configuration | None) -> list[Problem]:
    """The errors of objects that istiod's validation would not let into a cluster.

    What was let in by the load before (``previous``) is not looked at again.
    """
    from sandbox.istio.validate import validate_configuration, validate_object

    if previous is None or previous.pilot_env != configuration.pilot_env:
        verdicts = validate_configuration(configuration)
    else:
        known = {id(loaded) for loaded in previous.objects}
        new = [loaded for loaded in configuration.objects if id(loaded) not in known and loaded.resource is not None]
        verdicts = [validate_object(loaded, configuration.pilot_env) for loaded in new]
    return [one for verdict in verdicts for one in verdict.problems if one.severity == "error"]


def without_refused(configuration: Configuration) -> tuple[Configuration, list[Problem]]:
    """The configuration without objects that istiod would not let into a cluster, and the errors that say why."""
    from sandbox.istio.validate import validate_configuration, validate_object

    errors = [
        one for verdict in validate_configuration(configuration) for one in verdict.problems if one.severity == "error"
    ]
    if not errors:
        return configuration, []
    refused = {
        id(loaded.resource)
        for loaded in configuration.objects
        if loaded.resource is not None
        and any(one.severity == "error" for one in validate_object(loaded, configuration.pilot_env).problems)
    }
    return configuration.without(refused), errors


def report_refusals(plan: NodePlan, push: PushContext) -> None:
    """Reports what Envoy would not take of the plan, where a running mesh would keep the old resource."""
    from sandbox.access_log.refusals import refused_access_logs, refused_header_values
    from sandbox.match.refusals import refused_patterns
    from sandbox.metrics.label_rules import refused_expressions
    from sandbox.plan.acceptance import refusals
    from sandbox.proxy.secret_check import SecretCheck

    problems = push.problems
    for refusal in refusals(plan):
        problems.report("SBX0553", str(refusal), origin_of(refusal.because))
    for log, words in refused_access_logs(plan.listeners):
        problems.report("SBX0551", f"Envoy refuses the access log: {' '.join(words.split())}", origin_of(log.because))
    for route, header, words in refused_header_values(plan.route_configurations.values()):
        problems.report("SBX0554", f"Envoy refuses the value of the header {header}: {words}", origin_of(route.because))
    for metric, label, words in refused_expressions(plan.stats):
        message = f"the label {label} of a metric is left out, for its expression is none: {' '.join(words.split())}"
        problems.report("SBX0533", message, origin_of(metric.because))
    for route, pattern, words in refused_patterns(plan.route_configurations.values()):
        problems.report("SBX0552", f"RE2 refuses the regular expression {pattern!r}: {words}", origin_of(route.because))
    for unusable in SecretCheck(secrets_of(push.configuration), plan.workload.partition("/")[0]).unusable(plan):
        problems.report("SBX0555", str(unusable), origin_of(unusable.because))
    for because, paths in _missing_files(plan, push.configuration).items():
        which = f"{', '.join(paths)}: connections that need {'them' if len(paths) > 1 else 'it'} fail"
        problems.report(
            "SBX0556",
            f"the pod {plan.workload} does not mount, and this machine does not have {which}",
            origin_of(because),
        )


def tls_fault(plan: NodePlan, configuration: Configuration, name: str) -> str | None:
    """Why no connection of a cluster comes about: the Secret or the file that is not there."""
    from sandbox.proxy.secret_check import SecretCheck

    cluster = plan.clusters.get(name)
    if cluster is None:
        return None
    check = SecretCheck(secrets_of(configuration), plan.workload.partition("/")[0])
    missing = _missing_files(dataclasses.replace(plan, clusters={name: cluster}, listeners=()), configuration)
    paths = [path for each in missing.values() for path in each]
    return check.fault_of(cluster) or (f"there is no file {paths[0]}" if paths else None)


def _missing_files(plan: NodePlan, configuration: Configuration) -> Mapping[Sequence[Because], list[str]]:
    """Files for TLS that the proxy would not find in its pod, by what names them."""
    from sandbox.compiler import find_proxy
    from sandbox.mounted_files import AGENT_FILES, OUTPUT_CERTIFICATES, mounted_files
    from sandbox.proxy.file_check import files_for_tls

    wanted = dict(reversed(list(files_for_tls(plan))))
    if not wanted:
        return {}
    proxy = find_proxy(configuration, plan.workload)
    settings = proxy.metadata.proxy_config if proxy is not None else configuration.mesh.default_config
    directory = settings.proxy_metadata.get(OUTPUT_CERTIFICATES, "").rstrip("/") if settings is not None else ""
    known = {*mounted_files(configuration, secrets_of(configuration), plan.workload)}
    known |= {f"{directory}/{name}" for name in AGENT_FILES if directory}
    missing: dict[Sequence[Because], list[str]] = {}
    for path, because in reversed(wanted.items()):
        if path not in known and not Path(path).is_file():
            missing.setdefault(because, []).append(path)
    return missing


def origin_of(because: Sequence[Because]) -> Origin | None:
    """The last line that is named: the most particular one."""
    origins = [each.origin.setting if isinstance(each.origin, IstioDefault) else each.origin for each in because]
    return next((origin for origin in reversed(origins) if origin is not None), None)


def read_configuration(settings: Settings, cache: LoadCache | None = None) -> Configuration:
    """The files of ``settings``, decoded."""
    from sandbox.istio.load import load_texts

    unreadable = Problems()
    mesh = read_texts([settings.mesh], unreadable) if settings.mesh is not None else []
    texts = read_texts(settings.files, unreadable)
    mesh_text = mesh[0] if mesh else None
    configuration = load_texts(texts, settings.namespace, mesh=mesh_text, cache=cache)
    if settings.environment:
        environment = {**configuration.pilot_env, **settings.environment}
        configuration = dataclasses.replace(configuration, pilot_env=environment)
    if settings.endpoints:
        configuration, text, told = given_endpoints(configuration, settings.endpoints)
        configuration = _with_text(configuration, ENDPOINTS_FILE, text)
        configuration.problems.extend(told)
    if _wants_stand_ins(settings, configuration):
        text, sentences = stand_ins(configuration)
        configuration = _with_text(configuration, STAND_IN_FILE, text)
        for sentence in sentences:
            configuration.problems.report("SBX0701", sentence, None)
    configuration.problems.extend(unreadable)
    return with_cluster_addresses(configuration, cache.addressed_services if cache is not None else {})


def _with_text(configuration: Configuration, file: str, text: str) -> Configuration:
    """The configuration with what is written in one more text."""
    from sandbox.istio.load import load_texts

    if not text:
        return configuration
    more = load_texts([(file, text)])
    kinds = dict.fromkeys([*configuration.by_kind, *more.by_kind])
    return dataclasses.replace(
        configuration,
        by_kind={kind: (*configuration.resources(kind), *more.resources(kind)) for kind in kinds},
        objects=(*configuration.objects, *more.objects),
    )


def _wants_stand_ins(settings: Settings, configuration: Configuration) -> bool:
    """Whoever runs the gateways too, or asks for the plan of one that no object describes."""
    from sandbox.compiler.find_proxy import find_workload

    if not configuration.resources("Gateway"):
        return False
    if settings.with_gateways or settings.node_type != "router":
        return settings.with_gateways
    if settings.workload is None:
        return not gateway_workloads(configuration)
    return find_workload(configuration, settings.workload) is None


def proxy_of(configuration: Configuration, settings: Settings) -> Proxy:
    """The proxy that we are: a workload of the configuration, or one made up, with what the settings say on top."""
    from sandbox.compiler import find_proxy, undescribed_proxy
    from sandbox.compiler.find_proxy import UNKNOWN_ADDRESS

    node_type: Literal["sidecar", "router"] = "router" if settings.node_type == "router" else "sidecar"
    only = next(iter(gateway_workloads(configuration)), None) if node_type == "router" else only_workload(configuration)
    workload = settings.workload or only or f"{settings.namespace}/{DEFAULT_WORKLOAD}"
    proxy = find_proxy(configuration, workload, node_type)
    if proxy is None:
        proxy = undescribed_proxy(configuration, workload, MADE_UP_ADDRESS, node_type)
        if settings.workload is not None and not settings.labels:
            _report_unknown_workload(configuration, workload)
    changes: dict[str, Any] = {}
    if proxy.ip_addresses == (UNKNOWN_ADDRESS,):
        changes["ip_addresses"] = (MADE_UP_ADDRESS,)
    if settings.labels:
        changes["labels"] = {**proxy.labels, **settings.labels}
    if settings.service_account is not None:
        changes["service_account"] = settings.service_account
    if settings.pod_ip is not None:
        changes["ip_addresses"] = (settings.pod_ip,)
    return dataclasses.replace(proxy, **changes) if changes else proxy


def _report_unknown_workload(configuration: Configuration, workload: str) -> None:
    """A slip of the pen, perhaps: the files describe workloads, but not this one."""
    from sandbox.istio.kinds import WORKLOAD_KINDS

    known = [
        f"{resource.namespace}/{resource.name}"
        for kind in ("Pod", *WORKLOAD_KINDS)
        for resource in configuration.resources(kind)
    ]
    if known:
        near = did_you_mean(workload, known)
        hint = f"; did you mean {near}?" if near else ""
        sentence = f"no object describes the workload {workload}: it is taken as a pod without labels{hint}"
        configuration.problems.report("SBX0702", sentence, None)


def described_workloads(configuration: Configuration) -> list[str]:
    """``namespace/name`` of Pods besides the gateways, then of what makes pods; none that ``--endpoint`` made."""
    from sandbox.istio.kinds import WORKLOAD_KINDS

    selectors = [gateway.spec.selector.items() for gateway in configuration.resources("Gateway")]
    found: list[str] = []
    for kind in ("Pod", *WORKLOAD_KINDS):
        for resource in configuration.resources(kind):
            if ELSEWHERE in resource.metadata.annotations:
                continue
            template = resource if kind == "Pod" else resource.spec.pod_template
            labels = template.metadata.labels.items() if template is not None else None
            if labels is not None and not any(selector and selector <= labels for selector in selectors):
                found.append(f"{resource.namespace}/{resource.name}")
    return found


def only_workload(configuration: Configuration) -> str | None:
    """``namespace/name`` where the configuration describes exactly one Pod besides its gateways."""
    pods = {f"{pod.namespace}/{pod.name}" for pod in configuration.resources("Pod")}
    found = [workload for workload in described_workloads(configuration) if workload in pods]
    return found[0] if len(found) == 1 else None


def external_names(configuration: Configuration, namespace: str) -> Mapping[str, str]:
    """What the cluster's DNS server says of ExternalName services: each name for them, and the name behind."""
    found: dict[str, str] = {}
    for service in configuration.resources("Service"):
        target = service.spec.external_name.lower().rstrip(".")
        if service.spec.type != "ExternalName" or not target:
            continue
        short, own = service.metadata.name, f"{service.metadata.name}.{service.metadata.namespace}"
        for name in (own, f"{own}.svc", f"{own}.svc.{configuration.domain_suffix}"):
            found[name] = target
        if service.metadata.namespace == namespace:
            found[short] = target
    return found


def cluster_names(
    loaded: Loaded, *, search_domain: str | None, given: Mapping[str, tuple[str, ...]] | None = None
) -> ClusterNames:
    """What the cluster's DNS server tells our workload; ``given`` are addresses that need no question outside."""
    from sandbox.compiler.name_tables import build_cluster_names
    from sandbox.match.cluster_names import ClusterNames
    from sandbox.match.name_lookup import NameLookup

    proxy = loaded.proxy
    services = NameLookup(
        build_cluster_names(loaded.push, proxy),
        namespace=proxy.namespace,
        domain=proxy.dns_domain,
        search_domain=search_domain,
    )
    return ClusterNames(
        services=services, external=external_names(loaded.configuration, proxy.namespace), given=given or {}
    )


def secrets_of(configuration: Configuration) -> Mapping[str, Mapping[str, bytes]]:
    """The data of every Secret and ConfigMap with certificates, by ``namespace/name``."""
    found: dict[str, Mapping[str, bytes]] = {}
    for kind in ("ConfigMap", "Secret"):
        for resource in configuration.resources(kind):
            data: dict[str, bytes] = {}
            if kind == "Secret":
                data |= {key: _decoded(text) for key, text in resource.spec.data.items()}
                data |= {key: text.encode() for key, text in resource.spec.string_data.items()}
            else:
                data |= {key: text.encode() for key, text in resource.spec.data.items()}
            found[f"{resource.metadata.namespace}/{resource.metadata.name}"] = data
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""
