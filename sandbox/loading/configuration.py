"""The configuration of a run: its files, and what a cluster or an installation would add to them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from sandbox.loading.cluster_addresses import with_cluster_addresses
from sandbox.loading.config_files import read_texts
from sandbox.loading.given_endpoints import FILE as ENDPOINTS_FILE
from sandbox.loading.given_endpoints import given_endpoints
from sandbox.loading.stand_in_gateways import FILE as STAND_IN_FILE
from sandbox.loading.stand_in_gateways import gateway_workloads, stand_ins
from sandbox.yaml_source.problems import Problems

if TYPE_CHECKING:
    from sandbox.istio.load import Configuration
    from sandbox.istio.load_cache import LoadCache
    from sandbox.settings import Settings


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
