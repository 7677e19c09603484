"""Running the embedded internet in the foreground, and the tables that tell where it is."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from sandbox.cli.terminal import table
from sandbox.lab.internet import Internet


async def serve(certificates: Path, output: str, only_list: bool) -> None:
    """Binds, prints, and waits for SIGINT or SIGTERM."""
    async with Internet(certificates) as internet:
        click.echo(described(internet, output))
        if only_list:
            return
        click.echo(
            f"egress: the embedded internet is up; its authority: {internet.authority.certificate_file}", err=True
        )
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()


def described(internet: Internet, output: str) -> str:
    """Where everything is: a table, options for curl, or lines for /etc/hosts."""
    if output == "curl":
        return "\n".join(
            f"--connect-to {one.host}:{one.port}:{one.address}:{one.address_port}" for one in internet.overrides
        )
    if output == "hosts":
        names: dict[str, dict[str, None]] = {}
        for one in internet.overrides:
            names.setdefault(one.address, {})[one.host] = None
        return "\n".join(f"{address} {' '.join(found)}" for address, found in names.items())
    rows = [
        (_names(service.host.names), f"{service.scheme} {service.port}", str(service.address), service.host.about)
        for service in internet.services
    ]
    return table(("HOST", "PORT", "ADDRESS", "ANSWERS"), rows, gap=2)


def _names(names: tuple[str, ...]) -> str:
    if names[0].endswith(".wikipedia.org"):
        return "*.wikipedia.org"
    return names[0]
