"""``egress certs``: the local authority and certificates for any names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sandbox.pki import Authority


@click.command(
    epilog="""\b
Examples:
  egress certs                                # the authority, and the embedded internet's hosts
  egress certs api.example.com 10.0.0.7       # one certificate for these names and addresses
  curl --cacert "$(egress certs --ca)" ...
  egress certs --secret default/client-credential > secret.yaml   # for credentialName
"""
)
@click.argument("hosts", nargs=-1)
@click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path), help="Where to write.")
@click.option("--ca", "only_authority", is_flag=True, help="Print only the path of the authority's certificate.")
@click.option("--secret", metavar="[NS/]NAME", help="Print a Secret with a client's certificate and the authority's.")
def certs(hosts: tuple[str, ...], directory: Path | None, only_authority: bool, secret: str | None) -> None:
    """Make the local certificate authority and certificates, and print where they are.

    What exists and is still valid is kept. Private keys stay in the directory, readable by you alone.
    """
    # Imported here: cryptography takes a third of --help's time.
    from sandbox.lab.hosts import HOSTS
    from sandbox.pki import Authority, default_directory

    authority = Authority(directory or default_directory())
    if secret is not None:
        click.echo(client_secret(authority, secret, hosts), nl=False)
        return
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


def client_secret(authority: Authority, name: str, hosts: tuple[str, ...] = ()) -> str:
    """A Secret (``namespace/name``) as ``credentialName`` wants it, as YAML."""
    import base64

    namespace, _, bare = name.rpartition("/")
    certificate, key = authority.leaf(bare, hosts or (f"{bare}.example.com",))
    files = {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.certificate_file}
    data = "".join(f"  {item}: {base64.b64encode(file.read_bytes()).decode()}\n" for item, file in files.items())
    head = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {bare}, namespace: {namespace or 'default'}}}\n"
    return f"{head}type: Opaque\ndata:\n{data}"
