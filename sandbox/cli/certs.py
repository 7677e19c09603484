"""``egress certs``: the local authority and certificates for any names."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  egress certs                                # the authority, and the embedded internet's hosts
  egress certs api.example.com 10.0.0.7       # one certificate for these names and addresses
  curl --cacert "$(egress certs --ca)" ...
"""
)
@click.argument("hosts", nargs=-1)
@click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path), help="Where to write.")
@click.option("--ca", "only_authority", is_flag=True, help="Print only the path of the authority's certificate.")
def certs(hosts: tuple[str, ...], directory: Path | None, only_authority: bool) -> None:
    """Make the local certificate authority and certificates, and print where they are.

    What exists and is still valid is kept. Private keys stay in the directory, readable by you alone.
    """
    # Imported here: cryptography takes a third of --help's time.
    from sandbox.lab.hosts import HOSTS
    from sandbox.pki import Authority, default_directory

    authority = Authority(directory or default_directory())
    click.echo(authority.certificate_file)
    if only_authority:
        return
    wanted = [hosts] if hosts else [host.certificate_names or host.names for host in HOSTS if host.https]
    stems = [hosts[0].replace("*", "_")] if hosts else [host.names[0] for host in HOSTS if host.https]
    for stem, names in zip(stems, wanted, strict=True):
        certificate, key = authority.leaf(stem, names)
        click.echo(f"{certificate}  {key}")
    if authority.made:
        click.echo("egress: a new authority; what trusted an older one must be told", err=True)
