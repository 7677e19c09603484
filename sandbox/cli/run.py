"""``egress run``: the proxy, until it is told to stop."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import click

from sandbox.cli.options import (
    NODE_TYPES,
    address,
    dns_address,
    parsed,
    settings_for,
    wants_gateways,
    workload_options,
)
from sandbox.settings import Settings, parse_proxy, parse_resolve, parse_static_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.app import Sandbox
    from sandbox.settings import WorkloadProxy

EPILOG = """\b
Examples:
  egress run -f my-mesh/ --workload shop/frontend
  curl -x 127.0.0.1:15080 http://httpbin.org/headers
\b
  egress run -f my-mesh/ --lab                       # offline: the embedded internet
  egress run -f my-mesh/ --map 127.0.0.1:8080=httpbin.org:80
  egress run -f my-mesh/ --istio-ports               # 15001 for redirected traffic
  egress run -f my-mesh/ --admin 127.0.0.1:15000     # metrics, and Envoy's admin port
  egress run -f my-mesh/ --node gateway --workload istio-system/istio-egressgateway
  egress run -f my-mesh/ --endpoint istio-egressgateway.istio-system=10.0.0.2   # ... which runs there

\b
Signals: TERM and INT drain and end, HUP reads the configuration again, USR1
reopens the access log."""


@click.command(epilog=EPILOG)
@workload_options
@click.option(
    "--istio-ports",
    is_flag=True,
    help="Open Istio's ports: 15000, 15001, 15020, 15021, 15090, and 15053 where DNS is captured.",
)
@click.option(
    "--capture", multiple=True, metavar="ADDR:PORT", callback=parsed(address), help="Takes redirected connections."
)
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    default=("127.0.0.1:15080",),
    show_default=True,
    metavar="ADDR:PORT[=NS/NAME]",
    callback=parsed(parse_proxy),
    help="The explicit HTTP proxy (absolute-form requests and CONNECT); with --node gateway only where it is given. "
    "A user name given to it, as in http://frontend.shop@127.0.0.1:15080, says which workload calls; =NS/NAME is a "
    "port of one workload. Repeatable.",
)
@click.option("--no-proxy", is_flag=True, help="Open no explicit proxy.")
@click.option("--socks", metavar="ADDR:PORT", callback=parsed(address), help="A SOCKS5 proxy.")
@click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="ADDR:PORT=HOST:PORT",
    callback=parsed(parse_static_map),
    help="What arrives at the first address is meant for the second. Repeatable.",
)
@click.option(
    "--resolve",
    multiple=True,
    metavar="HOST[:PORT]=ADDR[:PORT]",
    callback=parsed(parse_resolve),
    help="Where a name is, in place of DNS. Repeatable.",
)
@click.option(
    "--dns-server",
    "dns_servers",
    multiple=True,
    metavar="ADDR[:PORT]",
    callback=parsed(dns_address),
    help="In place of /etc/resolv.conf. Repeatable.",
)
@click.option(
    "--admin",
    metavar="ADDR:PORT",
    callback=parsed(address),
    help="Envoy's admin port, for this machine alone: /stats/prometheus, /clusters, /config_dump, /help ...",
)
@click.option("--access-log", metavar="FILE|-", help="Where the mesh's access log goes (it says whether there is one).")
@click.option("--lab", is_flag=True, help="Resolve well-known names to the embedded internet.")
@click.option("--watch", is_flag=True, help="Read the configuration again when a file changes.")
@click.option("--allow-remote", is_flag=True, help="Bind addresses other than this machine's own loopback.")
@click.option("--control", metavar="PATH", help="Control socket for egress exec (default: below $XDG_RUNTIME_DIR).")
@click.option("--no-control", is_flag=True, help="Open no control socket; so it is with --istio-ports.")
@click.option("--launcher-fd", type=int, hidden=True)
@click.option("--seed", type=int, help="Makes every draw (percentages, load balancing) repeatable.")
def run(**options: Any) -> int:
    """Run a workload's sidecar, or a gateway, on this machine.

    Traffic comes through the explicit proxy, through mapped ports, or redirected; it is treated as Istio and Envoy
    would treat it with this configuration. One line on standard error says when everything serves.
    """
    is_gateway = NODE_TYPES[options["node_type"]] == "router"
    options |= _proxies(
        options.pop("proxies"), is_off=options.pop("no_proxy") or (is_gateway and _is_default("proxies"))
    )
    options["control"] = _control_path(options.pop("no_control") or options["istio_ports"], options["control"])
    options["with_gateways"] = options["node_type"] == "all" or (
        wants_gateways(options["node_type"]) and not options["istio_ports"]
    )
    settings = settings_for(**options)
    # Imported here: the proxy is most of the program, and --help needs none of it.
    from sandbox.app import Sandbox
    from sandbox.process import run_until_stopped

    run_until_stopped(Sandbox(settings), _say_ready)
    if settings.launcher_fd is not None and settings.control is not None:
        shutil.rmtree(os.path.dirname(settings.control), ignore_errors=True)  # made for us alone
    return 0


def _proxies(given: Sequence[WorkloadProxy], *, is_off: bool) -> dict[str, Any]:
    """The run's own proxy (the usual one, where only others' are given), and those of other workloads."""
    own = [each.listen for each in given if each.workload is None]
    if len(own) > 1:
        raise click.BadParameter(f"{own[1]}: one proxy is for all; write ADDR:PORT=NS/NAME", param_hint="--proxy")
    usual = own[0] if own else Settings().proxy
    return {
        "proxy": None if is_off else usual,
        "workload_proxies": tuple(each for each in given if each.workload is not None),
    }


def _is_default(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is click.core.ParameterSource.DEFAULT


def _control_path(is_off: bool, given: str | None) -> str | None:
    """Where ``egress exec`` finds us; the default place belongs to whoever came first."""
    if given is not None or is_off:
        return given
    from sandbox.capture.control_protocol import connect, default_path

    path = default_path(dict(os.environ), os.getuid())
    try:
        connect(path).close()
    except OSError:
        return path
    click.echo("egress: another sandbox runs already; egress exec joins that one (else give --control PATH)", err=True)
    return None


def _say_ready(sandbox: Sandbox) -> None:
    from sandbox.reloading import told_by_a_run  # imported here: --help needs none of it

    if sandbox.loaded is not None:
        found = {*sandbox.loaded.configuration.problems, *sandbox.loaded.problems}
        warnings = sum(1 for problem in found if problem.severity == "warning")
        if warnings:
            counted = f"{warnings} warning{'s' * (warnings != 1)}"
            click.echo(f"egress: {counted} about the configuration: see {_check_for(sandbox.settings)}", err=True)
        configuration = sandbox.loaded.configuration
        for message in told_by_a_run(sandbox.loaded):
            click.echo(f"egress: {message}", err=True)
        if not configuration.mesh_given and not configuration.resources("Telemetry"):
            click.echo("egress: no mesh configuration is given: the access log is on, as it is not in Istio", err=True)
    targets = {f"map {one.listen}": f"for {one.target}:" for one in sandbox.settings.maps}
    doors = ", ".join(_door(targets.get(name, name), str(where)) for name, where in sandbox.addresses.items())
    plan = sandbox.loaded.plan if sandbox.loaded else None
    who = f"{plan.node_type} of {plan.workload}" if plan else "proxy"
    if sandbox.gateways is not None:
        who += "".join(f" and gateway {name}" for name in sandbox.gateways.names)
    click.echo(f"egress: ready: {who}{'; ' if doors else ''}{doors}", err=True)


def _check_for(settings: Settings) -> str:
    """The command that shows what this proxy is warned of: the warnings may be this workload's alone."""
    labels = ",".join(f"{name}={value}" for name, value in settings.labels.items())
    who = {"--workload": settings.workload, "--labels": labels}
    options = "".join(f" {option} {value}" for option, value in who.items() if value)
    return f"egress check -f ...{options}" if options else "egress check"


def _door(name: str, where: str) -> str:
    return name if name.endswith(f" {where}") else f"{name} {where}"
