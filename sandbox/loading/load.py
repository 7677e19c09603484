"""From settings to a plan: read, decode, validate, compile for one workload."""

from __future__ import annotations

import dataclasses
import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.collection_pause import collection_paused
from sandbox.errors import ConfigError
from sandbox.loading.configuration import read_configuration
from sandbox.loading.own_workload import own_proxy
from sandbox.loading.plan_refusals import report_refusals
from sandbox.yaml_source.problems import Problems

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.compiler.push_context import PushContext
    from sandbox.istio.load import Configuration
    from sandbox.istio.load_cache import LoadCache
    from sandbox.plan import NodePlan
    from sandbox.settings import Settings

DEFAULT_LOG = "/dev/stdout"


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
    with collection_paused():
        loaded = _load(settings, cache, logs_by_default, previous)
        # What was loaded stays until the next load: no collection, also not the one that is due now, walks over it.
        gc.freeze()
    return loaded


def _load(settings: Settings, cache: LoadCache | None, logs_by_default: bool, previous: Loaded | None) -> Loaded:
    from sandbox.compiler import compile_node
    from sandbox.compiler.push_context import PushContext
    from sandbox.loading.admission import refusals_of_istiod

    configuration = read_configuration(settings, cache)
    refused = refusals_of_istiod(configuration, previous.configuration if previous is not None else None)
    if configuration.problems.errors or refused:
        raise ConfigError(Problems(dict.fromkeys([*configuration.problems, *refused])))
    logs_by_default = logs_by_default and not configuration.mesh_given and not configuration.resources("Telemetry")
    if logs_by_default:
        mesh = dataclasses.replace(configuration.mesh, access_log_file=DEFAULT_LOG)
        configuration = dataclasses.replace(configuration, mesh=mesh)
    push = PushContext(configuration, previous.push if previous is not None else None)
    proxy = own_proxy(configuration, settings)
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

    proxy = own_proxy(loaded.configuration, settings)
    plan = compile_node(loaded.push, proxy)
    report_refusals(plan, loaded.push)
    if loaded.push.problems.errors:
        raise ConfigError(loaded.push.problems)
    return dataclasses.replace(loaded, plan=plan, proxy=proxy)
