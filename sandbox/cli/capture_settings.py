"""The capture settings of a workload, as the commands about capture read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from sandbox.compiler.capture import build_capture_settings, capture_inputs
from sandbox.loading import read_configuration
from sandbox.loading.own_workload import own_proxy
from sandbox.proxy.system_names import read_system_names
from sandbox.settings import Settings
from sandbox.yaml_source.problems import Problems

if TYPE_CHECKING:
    from sandbox.compiler.proxy import Proxy
    from sandbox.plan.capture import CaptureSettings


@dataclass(frozen=True, slots=True)
class FoundCapture:
    """A workload's proxy and what its pod's init container would be told."""

    proxy: Proxy
    settings: CaptureSettings


def read_capture_settings(settings: Settings, overrides: Mapping[str, str] | None = None) -> FoundCapture:
    """Reads the files; what is wrong with the capture settings is told on standard error, and its default holds."""
    configuration = read_configuration(settings)
    proxy = own_proxy(configuration, settings)
    nameservers = tuple(host for host, _ in read_system_names().servers if "%" not in host)
    problems = Problems()
    found = build_capture_settings(capture_inputs(configuration, proxy, nameservers, overrides or {}), problems)
    for problem in problems:
        click.echo(f"egress: {problem}", err=True)
    return FoundCapture(proxy, found)
