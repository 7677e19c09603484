"""TLS on either side of TCP: origination, its failures in Envoy's words, termination, and the PROXY header."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.plan.base import DataSource, StringMatcher
from sandbox.plan.listener import Filter, FilterChain, Listener
from sandbox.plan.tls import (
    CertificateValidationContext,
    CommonTlsContext,
    DownstreamTlsContext,
    ProxyProtocolConfig,
    ProxyProtocolUpstreamTransport,
    SdsSecretConfig,
    TransportSocket,
    UpstreamTlsContext,
)
from sandbox.proxy.proxy_header import proxy_header

from .proxy_world import Upstream, address, run, serving, static_cluster, surroundings_of, tcp_listener, to_cluster

START = datetime.now(UTC) - timedelta(days=2)
VERIFY_FAILED = "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_"
CHAIN = "X509_verify_cert:_certificate_verification_error_at_depth_0:_"


class Authority:
    """A CA that writes certificates into a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Test CA of {directory.name}")])
        self.certificate = self._sign(self.name, self.key, None, (START, START + timedelta(days=30)))
        self.root = str(directory / "ca.crt")
        Path(self.root).write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, dns: str | None, life: tuple[datetime, datetime]
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(life[0])
            .not_valid_after(life[1])
            .add_extension(x509.BasicConstraints(ca=dns is None, path_length=None), critical=True)
        )
        if dns is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, dns: str, life: timedelta = timedelta(days=30), start: datetime = START) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, dns)])
        certificate = self._sign(subject, key, dns, (start, start + life))
        names = str(self.directory / f"{dns}.crt"), str(self.directory / f"{dns}.key")
        Path(names[0]).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        Path(names[1]).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return names


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class Upper(asyncio.Protocol):
    """Answers in capitals."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def tls_server(certificate: tuple[str, str]) -> AsyncIterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = await asyncio.get_running_loop().create_server(Upper, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def originating(root: str | None, *names: str, sni: str = "up.example") -> TransportSocket:
    validation = CertificateValidationContext(
        trusted_ca=DataSource(filename=root) if root else None,
        match_subject_alt_names=tuple(StringMatcher(exact=name) for name in names),
    )
    common = CommonTlsContext(validation_context=validation)
    return TransportSocket(typed_config=UpstreamTlsContext(common_tls_context=common, sni=sni))


def test_plain_text_becomes_tls(authority: Authority) -> None:
    async def test() -> None:
        async with tls_server(authority.issue("up.example")) as port:
            secure = originating(authority.root, "up.example")
            cluster = static_cluster("up", port, transport_socket=secure)
            async with serving((tcp_listener(to_cluster("up")),), cluster) as world:
                client = await world.client()
                await client.send(b"hello")
                assert await client.receive(5) == b"HELLO"
                client.close()
                info = await world.ended.get()
        assert info.upstream_tls_version == "TLSv1.3"
        assert (info.bytes_received, info.bytes_sent) == (5, 5)

    run(test)


def test_a_certificate_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    async def test() -> None:
        stranger = Authority(tmp_path)
        async with tls_server(stranger.issue("up.example")) as port:
            reason = await failure(port, originating(authority.root))
        assert reason == f"{VERIFY_FAILED}{CHAIN}unable_to_get_local_issuer_certificate:TLS_error_end"

    run(test)


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    async def test() -> None:
        async with tls_server(authority.issue("old.example", timedelta(days=1))) as port:
            reason = await failure(port, originating(authority.root))
        assert reason == f"{VERIFY_FAILED}{CHAIN}certificate_has_expired:TLS_error_end"

    run(test)


def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    async def test() -> None:
        async with tls_server(authority.issue("up.example")) as port:
            reason = await failure(port, originating(authority.root, "other.example"))
        assert reason == f"{VERIFY_FAILED}SAN_matcher,_certificate_SANs_are_[up.example]:TLS_error_end"

    run(test)


def test_a_server_without_tls_is_told_by_its_answer(authority: Authority) -> None:
    async def test() -> None:
        upstream = Upstream()

        async def answer() -> None:
            server = await upstream.accept()
            await server.receive(10)
            await server.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        answering = asyncio.ensure_future(answer())
        reason = await failure(upstream.port, originating(authority.root))
        await answering
        assert reason == "TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"

    run(test)


async def failure(port: int, secure: TransportSocket) -> str | None:
    """What the log says of a connection to ``port``."""
    cluster = static_cluster("up", port, transport_socket=secure)
    async with serving((tcp_listener(to_cluster("up")),), cluster) as world:
        client = await world.client()
        assert await client.ending() == "fin"
        info = await world.ended.get()
    assert info.response_flags == ["UF", "URX"]
    return info.upstream_transport_failure_reason


def test_tls_is_terminated_before_a_plain_upstream(authority: Authority) -> None:
    async def test() -> None:
        certificate, key = authority.issue("gateway.example")
        common = CommonTlsContext(
            tls_certificate_sds_secret_configs=(SdsSecretConfig(name=f"file-cert:{certificate}~{key}"),)
        )
        chain = FilterChain(
            filters=(Filter(typed_config=to_cluster("up")),),
            transport_socket=TransportSocket(typed_config=DownstreamTlsContext(common_tls_context=common)),
        )
        upstream = Upstream()
        listener = Listener(name="tls", address=address(0), filter_chains=(chain,))
        async with serving((listener,), static_cluster("up", upstream.port)) as world:
            context = ssl.create_default_context(cafile=authority.root)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", world.port, ssl=context, server_hostname="gateway.example"
            )
            writer.write(b"secret")
            server = await upstream.accept()
            assert await server.receive(6) == b"secret"
            await server.send(b"answer")
            assert await reader.readexactly(6) == b"answer"
            writer.close()
            assert await server.ending() == "fin"
            server.close()
            info = await world.ended.get()
        assert info.downstream_tls_version == "TLSv1.3"

    run(test)


def test_a_missing_certificate_closes_the_connection(authority: Authority) -> None:
    async def test() -> None:
        common = CommonTlsContext(tls_certificate_sds_secret_configs=(SdsSecretConfig(name="kubernetes://none"),))
        chain = FilterChain(
            filters=(Filter(typed_config=to_cluster("up")),),
            transport_socket=TransportSocket(typed_config=DownstreamTlsContext(common_tls_context=common)),
        )
        listener = Listener(name="tls", address=address(0), filter_chains=(chain,))
        async with serving((listener,), surroundings=surroundings_of()) as world:
            client = await world.client()
            assert await client.ending() == "fin"
            assert not world.server.handler.live

    run(test)


def test_the_proxy_header_comes_first() -> None:
    async def test() -> None:
        upstream = Upstream()
        header = ProxyProtocolUpstreamTransport(config=ProxyProtocolConfig(version="V1"))
        cluster = static_cluster("up", upstream.port, transport_socket=TransportSocket(typed_config=header))
        async with serving((tcp_listener(to_cluster("up")),), cluster) as world:
            client = await world.client()
            await client.send(b"x")
            server = await upstream.accept()
            source = client.sock.getsockname()[1]
            expected = f"PROXY TCP4 127.0.0.1 127.0.0.1 {source} {world.port}\r\nx".encode()
            assert await server.receive(len(expected)) == expected
            client.close()
            server.close()

    run(test)


def test_proxy_headers_of_both_versions() -> None:
    source, destination = ("10.0.0.1", 1000), ("10.0.0.2", 80)
    v2 = proxy_header("V2", source, destination)
    assert v2[:16] == b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    assert v2[16:] == bytes((10, 0, 0, 1, 10, 0, 0, 2)) + b"\x03\xe8\x00\x50"
    assert proxy_header("V1", ("::1", 1), ("::2", 2)) == b"PROXY TCP6 ::1 ::2 1 2\r\n"
    assert proxy_header("V1", None, None) == b"PROXY UNKNOWN\r\n"
    mixed = proxy_header("V2", ("10.0.0.1", 1), ("::2", 2))
    assert mixed[16:32] == socket.inet_pton(socket.AF_INET6, "::ffff:10.0.0.1")
