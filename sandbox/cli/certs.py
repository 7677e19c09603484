"""``egress certs``: the local authorities, and certificates for hosts and workloads."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sandbox.cli import exit_codes

if TYPE_CHECKING:
    from sandbox.pki import Authority, Leaf

HANDSHAKE_SECONDS = 1.0
"""Handshakes that have begun with the old authority, and then those with its certificates, are over by then."""


@click.command(
    epilog="""\b
Examples:
  egress certs                                # the authority, and the embedded internet's hosts
  egress certs api.example.com 10.0.0.7       # one certificate for these names and addresses
  egress certs --mesh                         # the workloads' identities; EGRESS_MESH_CA names another folder
  egress certs --mesh --renew                 # new ones for all of them; running processes take them up
  egress certs --mesh --renew shop.frontend   # ... for one
  egress certs --mesh --renew-authority       # a new authority, and all anew; the old one counts until the next
  curl --cacert "$(egress certs --ca)" ...
  egress certs --secret default/client-credential > secret.yaml   # for credentialName
"""
)
@click.argument("hosts", nargs=-1)
@click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path), help="Where to write.")
@click.option("--mesh", is_flag=True, help="The mesh's authority, and the workloads whose identities it has issued.")
@click.option("--renew", is_flag=True, help="Issue anew what is there (or the HOSTS named, as their files are).")
@click.option(
    "--renew-authority", is_flag=True, help="A new authority, which issues all anew; the old one still counts."
)
@click.option("--ca", "only_authority", is_flag=True, help="Print only the path of the authority's certificate.")
@click.option("--secret", metavar="[NS/]NAME", help="Print a Secret with a client's certificate and the authority's.")
def certs(
    hosts: tuple[str, ...],
    directory: Path | None,
    mesh: bool,
    renew: bool,
    renew_authority: bool,
    only_authority: bool,
    secret: str | None,
) -> int:
    """Make the local certificate authority and certificates, and print where they are, until when, and for whom.

    What exists and is still valid is kept. Private keys stay in the directory, readable by you alone.
    """
    if renew_authority and hosts:
        raise click.UsageError("--renew-authority issues everything anew: name no hosts with it")
    # Imported here: cryptography takes a third of --help's time.
    from sandbox.pki import Authority, default_directory
    from sandbox.workloads.identities import mesh_folder

    authority = Authority(directory or (mesh_folder(os.environ) if mesh else default_directory()))
    if secret is not None:
        click.echo(client_secret(authority, secret, hosts), nl=False)
        return 0
    if only_authority:
        click.echo(authority.certificate_file)
        return 0
    if renew_authority:
        _renew_authority(authority)
    elif renew:
        unknown = _renew(authority, hosts)
        if unknown:
            click.echo(f"egress: no certificate is issued for {', '.join(unknown)}: see egress certs", err=True)
            return exit_codes.FAILED
    elif not mesh:
        _make(authority, hosts)
    _show(authority, hosts)
    if authority.made:
        click.echo("egress: a new authority; what trusted an older one must be told", err=True)
    return 0


def _make(authority: Authority, hosts: tuple[str, ...]) -> None:
    from sandbox.lab.hosts import HOSTS

    wanted = [hosts] if hosts else [host.certificate_names or host.names for host in HOSTS if host.https]
    stems = [_stem(hosts[0])] if hosts else [host.names[0] for host in HOSTS if host.https]
    for stem, names in zip(stems, wanted, strict=True):
        authority.leaf(stem, names)


def _renew_authority(authority: Authority) -> None:
    """First the new one is made known, then it issues; handshakes of other processes send no word when they end."""
    authority.announce_successor()
    time.sleep(HANDSHAKE_SECONDS)
    authority.give_way()
    time.sleep(HANDSHAKE_SECONDS)


def _renew(authority: Authority, hosts: tuple[str, ...]) -> list[str]:
    """Renews what is named, else everything; returns what is not there."""
    known = [leaf.certificate_file.stem for leaf in authority.leaves()]
    stems = [_stem(host) for host in hosts] or known
    unknown = [stem for stem in stems if stem not in known]
    for stem in () if unknown else stems:
        authority.renew(stem)
    return unknown


def _show(authority: Authority, hosts: tuple[str, ...]) -> None:
    click.echo(f"{authority.certificate_file}  until {authority.until:%Y-%m-%d}")
    stems = {_stem(host) for host in hosts}
    for leaf in authority.leaves():
        if not stems or leaf.certificate_file.stem in stems:
            click.echo(_line(leaf))


def _line(leaf: Leaf) -> str:
    return f"{leaf.certificate_file}  {leaf.key_file}  until {leaf.until:%Y-%m-%d}  {' '.join(leaf.names)}"


def _stem(host: str) -> str:
    return host.replace("*", "_")


def client_secret(authority: Authority, name: str, hosts: tuple[str, ...] = ()) -> str:
    """A Secret (``namespace/name``) as ``credentialName`` wants it, as YAML."""
    import base64

    namespace, _, bare = name.rpartition("/")
    certificate, key = authority.leaf(bare, hosts or (f"{bare}.example.com",))
    files = {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.certificate_file}
    data = "".join(f"  {item}: {base64.b64encode(file.read_bytes()).decode()}\n" for item, file in files.items())
    head = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {bare}, namespace: {namespace or 'default'}}}\n"
    return f"{head}type: Opaque\ndata:\n{data}"
