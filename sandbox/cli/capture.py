"""``egress capture``: the rules of a sidecar's init container, for containers that share a network namespace."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sandbox.cli.capture_options import capture_options, take_overrides
from sandbox.cli.options import FILES_VARIABLE, settings_for, workload_options
from sandbox.errors import SandboxError
from sandbox.settings import Settings

if TYPE_CHECKING:
    from sandbox.plan.capture import CaptureSettings

F = TypeVar("F", bound=Callable[..., Any])


@click.group(
    epilog="""\b
Examples:
  egress capture show -f my-mesh/ --workload shop/frontend
  egress capture install --exclude-ranges 10.0.0.0/8 --dns
  egress run --istio-ports -f my-mesh/            # as user 1337, beside it"""
)
def capture() -> None:
    """Give the traffic of this network namespace to a sidecar, as istio-init does."""


def rule_options(function: F) -> F:
    """What istio-init would be told; without -f, injection's defaults hold."""
    for option in (
        click.option(
            "--dns/--no-dns", "dns", default=None, help="Capture DNS too (default: what ISTIO_META_DNS_CAPTURE says)."
        ),
        click.option("--gid", "gids", multiple=True, default=("1337",), show_default=True, help="The sidecar's group."),
        click.option("--uid", "uids", multiple=True, default=("1337",), show_default=True, help="The sidecar's user."),
    ):
        function = option(function)
    return workload_options(capture_options(function))


@capture.command()
@rule_options
def show(**options: Any) -> None:
    """Print the rules as iptables-restore takes them, for IPv4 and IPv6; nothing is touched."""
    settings = _capture_settings(options)
    from sandbox.match.capture_text import restore_text

    for version, program in ((4, "iptables-restore"), (6, "ip6tables-restore")):
        click.echo(f"# {program} --noflush\n{restore_text(settings, version)}", nl=version == 4)


@capture.command()
@rule_options
@click.option(
    "--backend",
    type=click.Choice(("auto", "netlink", "nft", "iptables")),
    default="auto",
    show_default=True,
    help="netlink needs no program, nft is the same by one; iptables is for kernels without nf_tables.",
)
def install(backend: str, **options: Any) -> None:
    """Lay the rules in this network namespace, in place of those laid before (needs CAP_NET_ADMIN).

    What user or group 1337 sends is left alone: run the sidecar as that user.
    """
    settings = _capture_settings(options)
    from sandbox.capture import iptables_rules, nft_rules

    if backend == "nft":
        nft_rules.install(settings)
    elif backend == "iptables" or not _by_netlink(settings, may_fall_back=backend == "auto"):
        iptables_rules.install(settings)
    click.echo(f"egress: capture is on: TCP goes to port {settings.proxy_port}{_dns_words(settings)}", err=True)


@capture.command()
def remove() -> None:
    """Take the rules away, if there are any."""
    import shutil

    from sandbox.capture import iptables_rules, sidecar_rules

    try:
        sidecar_rules.remove()
    except OSError as error:
        _refuse(error)
    if shutil.which(iptables_rules.PROGRAMS[4]) is not None:
        iptables_rules.remove()
    click.echo("egress: capture is off", err=True)


def _by_netlink(settings: CaptureSettings, *, may_fall_back: bool) -> bool:
    from sandbox.capture import sidecar_rules

    try:
        sidecar_rules.install(settings)
    except KeyError as error:
        raise SandboxError(f"no such user or group: {error.args[0]}") from None
    except OSError as error:
        _refuse(error)
        if not may_fall_back:
            raise SandboxError(f"the kernel refuses the rules: {error.strerror}") from None
        return False
    return True


def _refuse(error: OSError) -> None:
    """Where the rights are missing no other back end will have them either."""
    if error.errno in (errno.EPERM, errno.EACCES):
        raise SandboxError(
            "rules need CAP_NET_ADMIN in this network namespace: cap_add: [NET_ADMIN] for this one container, or root"
        ) from None


def _dns_words(settings: CaptureSettings) -> str:
    return f", DNS to port {settings.dns_port}" if settings.captures_dns else ""


def _capture_settings(options: dict[str, Any]) -> CaptureSettings:
    import dataclasses

    from sandbox.cli.capture_settings import read_capture_settings

    uids, gids, dns = options.pop("uids"), options.pop("gids"), options.pop("dns")
    overrides = take_overrides(options)
    found = read_capture_settings(_settings(options), overrides).settings
    if dns is not None:
        found = dataclasses.replace(found, redirect_dns=dns)
    if found.redirect_dns and not found.captures_dns:
        click.echo("egress: resolv.conf names no server, so no DNS is captured", err=True)
    return dataclasses.replace(found, proxy_uids=tuple(uids), proxy_gids=tuple(gids))


def _settings(options: dict[str, Any]) -> Settings:
    """Without any file injection's defaults hold, so none is needed."""
    if options["files"] or options["mesh"] or os.environ.get(FILES_VARIABLE):
        return settings_for(**options)
    return Settings(workload=options["workload"], namespace=options["namespace"])
