"""Options that several subcommands share, in kubectl's and istioctl's spelling."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from sandbox.errors import SettingsError
from sandbox.settings import HostPort, Settings, parse_endpoint, parse_host_port

F = TypeVar("F", bound=Callable[..., Any])
NODE_TYPES = {"sidecar": "sidecar", "gateway": "router", "router": "router", "all": "sidecar"}
"""What users may say, and istiod's word for it."""
FILES_VARIABLE = "EGRESS_CONFIG"
"""Names files and directories (separated as PATH is) where no ``-f`` does."""


def files_option(function: F) -> F:
    """``-f``, repeatable."""
    return click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        metavar="PATH",
        help="YAML or JSON file, directory (with its .yaml, .yml, .json files), or - for standard input. Repeatable.",
    )(function)


def mesh_options(function: F) -> F:
    """``-f``, ``--mesh``, ``-n``."""
    for option in (
        click.option("-n", "--namespace", default="default", show_default=True, help="For objects that name none."),
        click.option("--mesh", metavar="FILE", help="Mesh configuration: a MeshConfig, ConfigMap, or IstioOperator."),
    ):
        function = option(function)
    return files_option(function)


def workload_options(function: F) -> F:
    """Who the proxy is."""
    for option in (
        click.option(
            "--endpoint",
            "endpoints",
            multiple=True,
            metavar="NAME.NAMESPACE[:PORT]=ADDR[:PORT]",
            callback=parsed(parse_endpoint),
            help="Where a Service of the cluster really is, as an egress gateway that another process or machine runs; "
            "its endpoints and pods in the files give way. Repeatable: each is one endpoint.",
        ),
        click.option("--pod-ip", metavar="ADDRESS", help="The pod's address, where no Pod of the files has one."),
        click.option("--service-account", metavar="NAME", help="Where no Pod says."),
        click.option("--labels", metavar="K=V,...", callback=_labels, help="The pod's labels, where no Pod says."),
        click.option("--workload", metavar="[NS/]NAME", help="The pod, or a workload that makes pods."),
        click.option(
            "--node",
            "node_type",
            type=click.Choice(list(NODE_TYPES)),
            default="sidecar",
            show_default=True,
            help="A pod's sidecar, a gateway (router is Envoy's word for it), or all: a sidecar, and beside it the "
            "gateways that the files name; where nobody describes their pods, those of a default installation stand "
            "in. run, explain and check take all where nothing is said.",
        ),
    ):
        function = option(function)
    return mesh_options(function)


def _labels(context: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, str]:
    labels: dict[str, str] = {}
    for part in (value or "").split(","):
        name, separator, content = part.partition("=")
        if part and not separator:
            raise click.BadParameter(f"{part!r} is not KEY=VALUE", context, parameter)
        if part:
            labels[name.strip()] = content.strip()
    return labels


def parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A click callback that applies ``parse`` to the value, or to each of them."""

    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            if value is None:
                return None
            return tuple(parse(one) for one in value) if parameter.multiple else parse(value)
        except SettingsError as error:
            raise click.BadParameter(str(error), context, parameter) from None

    return callback


def address(text: str) -> HostPort:
    """``ADDR:PORT``."""
    return parse_host_port(text)


def dns_address(text: str) -> HostPort:
    """``ADDR[:PORT]``, port 53; names will not do where names are asked for."""
    server = parse_host_port(text, 53)
    if not _is_address(server.host):
        raise SettingsError(f"{text!r} names no server by its address, as in 1.1.1.1 or [2606:4700::1111]:53")
    return server


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def chosen_files(files: Sequence[str], mesh: str | None) -> tuple[str, ...]:
    """The files to load: ``-f``, else ``$EGRESS_CONFIG``, else a usage error with both names."""
    if files:
        return tuple(files)
    found = tuple(path for path in os.environ.get(FILES_VARIABLE, "").split(os.pathsep) if path)
    if found:
        click.echo(f"using {FILES_VARIABLE}={os.pathsep.join(found)}", err=True)
    elif mesh is None:
        raise click.UsageError(f"no configuration: give -f PATH (or set {FILES_VARIABLE})")
    return found


def wants_gateways(node_type: str) -> bool:
    """For commands that are about real calls: ``--node all``, or nothing said."""
    source = click.get_current_context().get_parameter_source("node_type")
    return node_type == "all" or source is click.core.ParameterSource.DEFAULT


def settings_for(**options: Any) -> Settings:
    """Settings from the options of ``mesh_options`` and, where present, ``workload_options``."""
    said = options.pop("node_type", "sidecar")
    node_type = NODE_TYPES[said]
    options.setdefault("with_gateways", said == "all")
    files = chosen_files(options.pop("files"), options.get("mesh"))
    workload, namespace = options.get("workload"), options["namespace"]
    if workload and "/" not in workload:
        options["workload"] = f"{namespace}/{workload}"
    elif workload and (workload.count("/") != 1 or not all(workload.split("/"))):
        raise click.BadParameter(f"{workload!r} is not NAMESPACE/NAME", param_hint="--workload")
    return Settings(files=files, node_type=node_type, **options)
