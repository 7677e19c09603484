"""Alerts of handshakes that fail: the peer is told why, in the words of Envoy's library."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.plan.base import DataSource
from sandbox.plan.listener import Filter, FilterChain, Listener
from sandbox.plan.metrics import StatsConfig
from sandbox.plan.tls import (
    CertificateValidationContext,
    CommonTlsContext,
    DownstreamTlsContext,
    SdsSecretConfig,
    TransportSocket,
)

from .proxy_world import Upstream, address, closed_port, on_a_loop, run, serving, static_cluster, to_cluster
from .test_transport_security import START, Authority, failure, originating

DAY = timedelta(days=1)
MONTH = timedelta(days=30)


def heard_by_server(listener: socket.socket, certificate: tuple[str, str], version: ssl.TLSVersion) -> str | None:
    """Why the handshake of the first connection fails, as its server sees it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.maximum_version = version
    accepted, _ = listener.accept()
    with accepted, pytest.raises(ssl.SSLError) as failed:
        context.wrap_socket(accepted, server_side=True)
    return failed.value.reason


@pytest.mark.parametrize(
    ("life", "name", "version", "alert"),
    [
        (DAY, "up.example", ssl.TLSVersion.TLSv1_3, "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        (DAY, "up.example", ssl.TLSVersion.TLSv1_2, "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        (MONTH, "other.example", ssl.TLSVersion.TLSv1_3, "SSLV3_ALERT_CERTIFICATE_UNKNOWN"),
    ],
    ids=["expired", "expired, TLS 1.2", "of another name"],
)
def test_a_server_is_told_why_its_certificate_is_refused(
    tmp_path: Path, life: timedelta, name: str, version: ssl.TLSVersion, alert: str
) -> None:
    authority = Authority(tmp_path)
    server_hears(alert, authority.issue(name, life), originating(authority.root, "up.example"), version)


def test_a_server_is_told_that_its_certificate_is_not_valid_now(tmp_path: Path) -> None:
    """Too early is expired, for BoringSSL."""
    authority = Authority(tmp_path)
    early = authority.issue("up.example", DAY, START + MONTH)
    server_hears("SSLV3_ALERT_CERTIFICATE_EXPIRED", early, originating(authority.root))


def test_a_server_is_told_that_nobody_knows_its_authority(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    known, stranger = Authority(tmp_path / "known"), Authority(tmp_path)
    server_hears("TLSV1_ALERT_UNKNOWN_CA", stranger.issue("up.example"), originating(known.root))


def server_hears(
    alert: str,
    certificate: tuple[str, str],
    secure: TransportSocket,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            hearing = asyncio.ensure_future(asyncio.to_thread(heard_by_server, listener, certificate, version))
            await failure(listener.getsockname()[1], secure)
            assert await hearing == alert

    run(test)


@pytest.mark.parametrize(
    ("shown", "alert"),
    [
        (None, "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        ("old.example", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
    ],
    ids=["none", "expired"],
)
@on_a_loop
async def test_a_client_is_told_why_its_certificate_is_refused(tmp_path: Path, shown: str | None, alert: str) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=authority.root)
    if shown:
        context.load_cert_chain(*authority.issue(shown, DAY))

    async with serving((demanding(authority),), static_cluster("up", Upstream().port)) as world:
        assert await asyncio.to_thread(heard_by_client, world.port, context) == alert


@on_a_loop
async def test_a_server_shows_its_own_certificate_alone(tmp_path: Path) -> None:
    """OpenSSL would add the authority that it trusts to sign clients' certificates; Envoy's library adds nothing."""
    (tmp_path / "other").mkdir()
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    context = ssl.create_default_context(cafile=other.root)

    async with serving((demanding(authority),), static_cluster("up", Upstream().port)) as world:
        with pytest.raises(ssl.SSLCertVerificationError) as failed:
            await asyncio.open_connection("127.0.0.1", world.port, ssl=context, server_hostname="gateway.example")
        assert failed.value.verify_message == "unable to get local issuer certificate"


@on_a_loop
async def test_a_server_that_demands_certificates_agrees_on_a_protocol(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=authority.root)
    context.load_cert_chain(*authority.issue("client.example"))
    context.set_alpn_protocols(["h2", "http/1.1"])

    upstream = Upstream()
    async with serving((demanding(authority),), static_cluster("up", upstream.port)) as world:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", world.port, ssl=context, server_hostname="gateway.example"
        )
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.close()


@on_a_loop
async def test_an_upstream_is_asked_before_the_handshake_is_done_and_left_where_that_fails(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=authority.root)

    upstream = Upstream()
    async with serving((demanding(authority),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        server = await upstream.accept()
        client.close()
        assert await server.ending() == "fin"
        await world.ended.get()
        heard = asyncio.ensure_future(asyncio.to_thread(heard_by_client, world.port, context))
        assert await (await upstream.accept()).ending() == "fin"
        assert await heard == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
        info = await world.ended.get()
    assert (info.upstream_host, info.response_flags) == (f"127.0.0.1:{upstream.port}", [])
    assert info.downstream_transport_failure_reason == (
        "TLS_error:|268435648:SSL_routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE"
        ":peer_did_not_provide_required_client_certificate:TLS_error_end"
    )
    assert (info.bytes_received, info.bytes_sent) == (0, 0)


@on_a_loop
async def test_a_connection_whose_handshake_fails_is_counted_as_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=authority.root)

    upstream = static_cluster("up", Upstream().port)
    async with serving((demanding(authority),), upstream, stats=(StatsConfig(),)) as world:
        await asyncio.to_thread(heard_by_client, world.port, context)
        await world.ended.get()
        counters = world.surroundings.metrics.node("default/test").counters
    told = {name: [counter.value for counter in family.values()] for name, family in counters.items()}
    assert told == {
        "istio_tcp_connections_opened_total": [1],
        "istio_tcp_connections_closed_total": [1],
        "istio_tcp_received_bytes_total": [0],
        "istio_tcp_sent_bytes_total": [0],
    }


@on_a_loop
async def test_a_client_is_sent_away_before_its_handshake_where_no_upstream_is_there(tmp_path: Path) -> None:
    async with serving((demanding(Authority(tmp_path)),), static_cluster("up", closed_port())) as world:
        client = await world.client()
        assert await client.ending() == "fin"
        assert (await world.ended.get()).response_flags == ["UF", "URX"]


def demanding(authority: Authority) -> Listener:
    """A listener that wants a certificate of its clients."""
    certificate, key = authority.issue("gateway.example")
    common = CommonTlsContext(
        tls_certificate_sds_secret_configs=(SdsSecretConfig(name=f"file-cert:{certificate}~{key}"),),
        validation_context=CertificateValidationContext(trusted_ca=DataSource(filename=authority.root)),
        alpn_protocols=("http/1.1",),
    )
    tls = DownstreamTlsContext(common_tls_context=common, require_client_certificate=True)
    chain = FilterChain(
        filters=(Filter(typed_config=to_cluster("up")),), transport_socket=TransportSocket(typed_config=tls)
    )
    return Listener(name="tls", address=address(0), filter_chains=(chain,))


def heard_by_client(port: int, context: ssl.SSLContext) -> str | None:
    """In TLS 1.3 a client has finished before the server looks at its certificate: the first read tells."""
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="gateway.example") as secure,
    ):
        secure.write(b"a request that nobody reads")
        with pytest.raises(ssl.SSLError) as failed:
            secure.read()
    return failed.value.reason
