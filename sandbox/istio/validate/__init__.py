"""What ``istioctl validate`` says of each object: istiod's verdict, and what the API server's schema would refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from sandbox.frozen_dataclass import dataclass
from sandbox.istio.load import Configuration
from sandbox.istio.message import EMPTY
from sandbox.istio.objects import LoadedObject
from sandbox.istio.resource import Resource
from sandbox.istio.validate.authentication import validate_peer_authentication, validate_request_authentication
from sandbox.istio.validate.authorization_policy import validate_authorization_policy
from sandbox.istio.validate.destination_rule import validate_destination_rule
from sandbox.istio.validate.extensions import (
    validate_envoy_filter,
    validate_proxy_config,
    validate_traffic_extension,
    validate_wasm_plugin,
)
from sandbox.istio.validate.findings import Findings, Verdict
from sandbox.istio.validate.gateway import validate_gateway
from sandbox.istio.validate.mesh_config import validate_mesh_config
from sandbox.istio.validate.metadata_names import metadata_problems
from sandbox.istio.validate.schema_rules import schema_problems
from sandbox.istio.validate.service_entry import validate_service_entry
from sandbox.istio.validate.shared import check_annotations
from sandbox.istio.validate.sidecar import validate_sidecar
from sandbox.istio.validate.telemetry import validate_telemetry
from sandbox.istio.validate.virtual_service import validate_virtual_service
from sandbox.istio.validate.workload_entry import validate_workload_entry, validate_workload_group
from sandbox.yaml_source.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectVerdict:
    """One object of a file."""

    file: str
    line: int
    kind: str
    namespace: str
    name: str
    verdict: Verdict
    problems: tuple[Problem, ...] = ()
    """Of both layers; those of the layer ``schema`` do not count for the verdict unless istiod cannot parse them."""


_READING: Final = frozenset({"SBX0101", "SBX0102", "SBX0103", "SBX0104", "SBX0105", "SBX0111"})
"""Codes of what the decoder finds in an object."""
_RULES: Final[Mapping[str, Callable[[Resource[Any], Findings], None]]] = {
    "AuthorizationPolicy": validate_authorization_policy,
    "DestinationRule": validate_destination_rule,
    "EnvoyFilter": validate_envoy_filter,
    "Gateway": validate_gateway,
    "PeerAuthentication": validate_peer_authentication,
    "ProxyConfig": validate_proxy_config,
    "RequestAuthentication": validate_request_authentication,
    "ServiceEntry": validate_service_entry,
    "Sidecar": validate_sidecar,
    "Telemetry": validate_telemetry,
    "TrafficExtension": validate_traffic_extension,
    "VirtualService": validate_virtual_service,
    "WasmPlugin": validate_wasm_plugin,
    "WorkloadEntry": validate_workload_entry,
    "WorkloadGroup": validate_workload_group,
}


def validate_configuration(configuration: Configuration) -> list[ObjectVerdict]:
    """A verdict for every object of an Istio kind, and for the mesh configuration if one was given, in file order."""
    verdicts = [
        validate_object(loaded, configuration.pilot_env)
        for loaded in configuration.objects
        if loaded.resource is not None and loaded.ref.kind in _RULES
    ]
    if configuration.mesh_given:
        verdicts.append(_mesh_verdict(configuration))
    return verdicts


def validate_object(loaded: LoadedObject, pilot_env: Mapping[str, str] = EMPTY) -> ObjectVerdict:
    """The verdict on one object by itself."""
    findings = Findings()
    if (loaded.parsable or loaded.guessable) and loaded.resource is not None:
        check_resource(loaded.resource, findings, pilot_env)
        findings.problems += schema_problems(loaded.resource.spec, (*loaded.problems, *findings.problems))
        if loaded.ref.kind in _RULES:
            findings.problems += metadata_problems(loaded.resource)
    faulty = {problem.path for problem in loaded.problems if problem.code != "SBX0101"}
    found = [problem for problem in findings.problems if loaded.parsable or problem.path not in faulty]
    return ObjectVerdict(
        file=loaded.span.file,
        line=loaded.span.line,
        kind=loaded.ref.kind,
        namespace=loaded.ref.namespace,
        name=loaded.ref.name,
        verdict=findings.verdict if loaded.parsable else "error",
        problems=_in_order((*loaded.problems, *found)),
    )


def check_resource(resource: Resource[Any], findings: Findings, pilot_env: Mapping[str, str] = EMPTY) -> None:
    """Istiod's rules for one parsed object."""
    rules = _RULES.get(resource.kind)
    if resource.kind == "ServiceEntry":
        rules = partial(validate_service_entry, pilot_env=pilot_env)
    if rules is not None and check_annotations(resource, findings):
        rules(resource, findings)


def _in_order(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.span or ("", 0, 0)))


def _mesh_verdict(configuration: Configuration) -> ObjectVerdict:
    findings = Findings()
    mesh = configuration.mesh
    validate_mesh_config(mesh, findings)
    ref, span = mesh.origin.resource, mesh.origin.span
    read = [problem for problem in configuration.problems if problem.resource == ref and problem.code in _READING]
    return ObjectVerdict(
        file=span.file,
        line=span.line,
        kind="MeshConfig",
        namespace=ref.namespace,
        name=ref.name,
        verdict="error" if any(problem.severity == "error" for problem in read) else findings.verdict,
        problems=_in_order((*read, *findings.problems)),
    )
