"""``egress lab``: the embedded internet alone."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  egress lab
  egress lab -o curl        # options that send curl there
"""
)
@click.option("--certs", type=click.Path(file_okay=False, path_type=Path), help="Where certificates are kept.")
@click.option("-o", "--output", type=click.Choice(["table", "curl", "hosts"]), default="table", show_default=True)
@click.option("--list", "only_list", is_flag=True, help="Print where everything would be, and end.")
def lab(certs: Path | None, output: str, only_list: bool) -> None:
    """Run the embedded internet: httpbin.org, Wikipedia, a database ... on loopback, until interrupted."""
    # Imported here: aiohttp is half of the time to start, and --help needs none of it.
    import asyncio

    from sandbox.cli.lab_server import serve
    from sandbox.pki import default_directory

    asyncio.run(serve(certs or default_directory(), output, only_list))
