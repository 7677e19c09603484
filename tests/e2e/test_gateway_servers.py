"""The TLS modes of a gateway's servers: who is let in with which certificate, from a Secret or from files."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sandbox.cli.certs import client_secret
from sandbox.pki import Authority

from .gateway_under_policy import Ours, PolicyBench

SERVER = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: tls, namespace: edge}}
spec:
  selector: {{istio: edge}}
  servers:
  - {{port: {{number: {port}, name: tls, protocol: HTTPS}}, hosts: [site.example.com], tls: {{{tls}}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: tls, namespace: edge}}
spec:
  hosts: [site.example.com]
  gateways: [tls]
  http: [{{directResponse: {{status: 204}}}}]
---
"""
OWN, STRANGER, NOBODY = "own", "stranger", None
MODES = {
    "SIMPLE": ("mode: SIMPLE, credentialName: site", {NOBODY: 204, OWN: 204}),
    "MUTUAL": ("mode: MUTUAL, credentialName: site", {NOBODY: 0, STRANGER: 0, OWN: 204}),
    "OPTIONAL_MUTUAL": ("mode: OPTIONAL_MUTUAL, credentialName: site", {NOBODY: 204, STRANGER: 0, OWN: 204}),
    "SIMPLE from files": ("mode: SIMPLE, serverCertificate: {cert}, privateKey: {key}", {NOBODY: 204}),
    "MUTUAL from files": (
        "mode: MUTUAL, serverCertificate: {cert}, privateKey: {key}, caCertificates: {ca}",
        {NOBODY: 0, STRANGER: 0, OWN: 204},
    ),
    "no Secret": ("mode: SIMPLE, credentialName: gone", {NOBODY: 0}),
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyBench]:
    """One gateway for all modes."""
    found = PolicyBench(tmp_path_factory.mktemp("gateway"), Ours(), has_own_log=False)
    yield found
    found.close()


@pytest.mark.parametrize(("tls", "expected"), MODES.values(), ids=list(MODES))
def test_who_is_let_in(tls: str, expected: dict[str | None, int], bench: PolicyBench, tmp_path: Path) -> None:
    authorities = {OWN: Authority(tmp_path / "own"), STRANGER: Authority(tmp_path / "stranger")}
    certificate, key = authorities[OWN].leaf("site", ["site.example.com"])
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    files = tls.format(cert=certificate, key=key, ca=authorities[OWN].certificate_file)
    secret = client_secret(authorities[OWN], "edge/site", ("site.example.com",))

    bench.asked(SERVER.format(port=port, tls=files) + secret, [])

    assert {who: call(port, authorities, who) for who in expected} == expected


def call(port: int, authorities: dict[str, Authority], who: str | None) -> int:
    """The status; 0 where the connection ends before there is one."""
    context = ssl.create_default_context(cafile=str(authorities[OWN].certificate_file))
    if who is not None:
        context.load_cert_chain(*authorities[who].leaf("client", ["client.example.com"]))
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="site.example.com") as secure,
        ):
            secure.sendall(b"GET / HTTP/1.1\r\nHost: site.example.com\r\n\r\n")
            return int(secure.recv(100).split()[1])
    except (OSError, IndexError):
        return 0
