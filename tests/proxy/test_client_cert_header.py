"""``x-forwarded-client-cert`` in each mode, with and without a client's certificate (``mutateXfccRequestHeader``)."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import cast

import pytest

from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.proxy.downstream import DownstreamConnection, TlsFacts
from sandbox.proxy.http_client_cert import ClientCertHeader

OWN = b"Hash=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""Of the certificate that is tested with: the three letters abc."""


def sent(mode: str, *, is_mutual: bool) -> list[bytes]:
    """Names and values of what goes on of a request that has the header, before another one."""
    connection = DownstreamConnection(socket.socket(), 1, ("127.0.0.1", 1), ("127.0.0.1", 2))
    connection.socket.close()
    if is_mutual:
        connection.tls = cast(TlsFacts, SimpleNamespace(peer_certificate=b"abc"))
    headers = [(b"x-forwarded-client-cert", b"By=before"), (b"x-after", b"1")]
    ClientCertHeader(HttpConnectionManager(forward_client_cert_details=mode)).apply(headers, b"By=before", connection)
    return [value for _, value in headers]


@pytest.mark.parametrize(
    ("mode", "mutual", "plain"),
    [
        pytest.param("SANITIZE", [b"1"], [b"1"], id="never"),
        pytest.param("SANITIZE_SET", [OWN, b"1"], [b"1"], id="set where the old one was"),
        pytest.param("APPEND_FORWARD", [b"By=before," + OWN, b"1"], [b"1"], id="appended"),
        pytest.param("FORWARD_ONLY", [b"By=before", b"1"], [b"1"], id="passed on for who shows a certificate"),
        pytest.param("ALWAYS_FORWARD_ONLY", [b"By=before", b"1"], [b"By=before", b"1"], id="passed on"),
    ],
)
def test_header_of_the_client(mode: str, mutual: list[bytes], plain: list[bytes]) -> None:
    header = ClientCertHeader(HttpConnectionManager(forward_client_cert_details=mode))

    assert header.is_active is (mode != "ALWAYS_FORWARD_ONLY")
    if header.is_active:
        assert [sent(mode, is_mutual=True), sent(mode, is_mutual=False)] == [mutual, plain]
