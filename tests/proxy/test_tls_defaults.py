"""What TLS offers where nothing is configured: Envoy's ciphers, in Envoy's order."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from sandbox.plan.tls import CommonTlsContext, DownstreamTlsContext, TlsParameters, UpstreamTlsContext
from sandbox.proxy.secrets import SecretStore
from sandbox.proxy.tls_context import ClientTls, ServerTls
from sandbox.proxy.transport_options import TransportOptions
from tests.proxy.proxy_world import Upstream, on_a_loop, serving, static_cluster
from tests.proxy.test_tls_alerts import demanding
from tests.proxy.test_transport_security import Authority

ENVOYS = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
]


def ciphers(context: ssl.SSLContext | None) -> list[str]:
    """Those before TLS 1.3."""
    assert context is not None
    return [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        pytest.param(None, ENVOYS, id="nothing said"),
        pytest.param(TlsParameters(tls_minimum_protocol_version="TLSv1_0"), ENVOYS, id="an old version"),
        pytest.param(TlsParameters(cipher_suites=("[AES128-SHA|AES256-SHA]",)), ["AES128-SHA", "AES256-SHA"], id="own"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_ciphers_are_envoys_or_those_that_the_plan_names(parameters: TlsParameters | None, expected: list[str]) -> None:
    common = CommonTlsContext(tls_params=parameters)
    store = SecretStore({}, "default")

    assert ciphers(ServerTls(DownstreamTlsContext(common_tls_context=common), store).context()) == expected
    assert (
        ciphers(ClientTls(UpstreamTlsContext(common_tls_context=common), store).context(TransportOptions())) == expected
    )


def test_neither_side_renegotiates() -> None:
    """A server that asks for it gets the alert no_renegotiation from Envoy, and is left."""
    common, store = CommonTlsContext(), SecretStore({}, "default")
    server = ServerTls(DownstreamTlsContext(common_tls_context=common), store).context()
    client = ClientTls(UpstreamTlsContext(common_tls_context=common), store).context(TransportOptions())

    assert server is not None
    assert client is not None
    assert server.options & client.options & ssl.OP_NO_RENEGOTIATION


@on_a_loop
async def test_a_server_that_demands_certificates_prefers_the_same(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=authority.root)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*authority.issue("client.example"))

    async with serving((demanding(authority),), static_cluster("up", Upstream().port)) as world:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", world.port, ssl=context, server_hostname="gateway.example"
        )
        assert writer.get_extra_info("cipher")[0].endswith("AES128-GCM-SHA256")
        writer.close()
