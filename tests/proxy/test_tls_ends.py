"""How TLS of bytes begins and ends: each side by itself, as a real Envoy 1.39.3 showed it to both of its peers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sandbox.plan.listener import Filter, FilterChain, Listener
from sandbox.plan.tls import CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, TransportSocket

from .proxy_world import Client, Upstream, World, address, run, serving, static_cluster, tcp_listener, to_cluster
from .test_transport_security import Authority, originating

RESET = "TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class TlsPeer:
    """One end of a TLS connection, driven record by record."""

    def __init__(self, client: Client, context: ssl.SSLContext, *, server_side: bool) -> None:
        self.client = client
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server_side else "gateway.example"
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side, name)

    async def shake_hands(self, *, flush: bool = True) -> None:
        """Without ``flush`` the last message stays here, and goes with what is sent next."""
        while True:
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                await self.flush()
                await self._hear()
            except ssl.SSLError:
                await self.flush()
                raise
            else:
                break
        if flush:
            await self.flush()

    async def answer_hello(self, *, and_say: bytes = b"") -> None:
        """A server's whole first flight, and bytes that are no TLS."""
        await self._hear()
        with pytest.raises(ssl.SSLWantReadError):
            self._session.do_handshake()
        await self.client.send(self._outgoing.read() + and_say)

    async def send(self, data: bytes) -> None:
        self._session.write(data)
        await self.flush()

    async def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await self._read()
        return data

    async def ending(self) -> str:
        """``close_notify``, ``fin`` or ``rst``; nothing may come before."""
        try:
            assert not await self._read()
        except ssl.SSLEOFError:
            return "fin"
        except ConnectionResetError:
            return "rst"
        return "close_notify"

    def say_end(self) -> None:
        """Prepares close_notify, to be flushed."""
        with pytest.raises(ssl.SSLWantReadError):
            self._session.unwrap()

    async def flush(self) -> None:
        await self.client.send(self._outgoing.read())

    async def _read(self) -> bytes:
        while True:
            try:
                return self._session.read(65536)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                await self._hear()

    async def _hear(self) -> None:
        loop = asyncio.get_running_loop()
        data = await loop.sock_recv(self.client.sock, 65536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def server_context(authority: Authority, version: ssl.TLSVersion, *, demands: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("up.example"))
    context.maximum_version = version
    if demands:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.root)
    context.maximum_version = version
    return context


def terminating(authority: Authority) -> Listener:
    certificate, key = authority.issue("gateway.example")
    secret = SdsSecretConfig(name=f"file-cert:{certificate}~{key}")
    tls = DownstreamTlsContext(common_tls_context=CommonTlsContext(tls_certificate_sds_secret_configs=(secret,)))
    filters = (Filter(typed_config=to_cluster("up")),)
    chain = FilterChain(filters=filters, transport_socket=TransportSocket(typed_config=tls))
    return Listener(name="tls", address=address(0), filter_chains=(chain,))


@asynccontextmanager
async def from_plain_to_tls(
    authority: Authority, version: ssl.TLSVersion
) -> AsyncIterator[tuple[World, Client, TlsPeer]]:
    upstream = Upstream()
    cluster = static_cluster("up", upstream.port, transport_socket=originating(authority.root))
    async with serving((tcp_listener(to_cluster("up")),), cluster) as world:
        client = await world.client()
        server = TlsPeer(await upstream.accept(), server_context(authority, version), server_side=True)
        await server.shake_hands()
        yield world, client, server


@asynccontextmanager
async def from_tls_to_plain(
    authority: Authority, version: ssl.TLSVersion
) -> AsyncIterator[tuple[World, TlsPeer, Client]]:
    upstream = Upstream()
    async with serving((terminating(authority),), static_cluster("up", upstream.port)) as world:
        client = TlsPeer(await world.client(), client_context(authority, version), server_side=False)
        await client.shake_hands()
        yield world, client, await upstream.accept()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ends"))


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upstream_of_tls_hears_that_the_client_has_ended_and_answers(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    async def test() -> None:
        async with from_plain_to_tls(authority, version) as (world, client, server):
            await client.send(b"hello")
            client.finish()
            assert await server.receive(5) == b"hello"
            assert await server.ending() == "close_notify"
            await server.send(b"answer")
            assert await client.receive(6) == b"answer"
            server.client.finish()
            assert await client.ending() == "fin"
            info = await world.ended.get()
        assert (info.bytes_received, info.bytes_sent) == (5, 6)

    run(test)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("how", ["close_notify", "fin"])
def test_a_client_of_tls_that_has_ended_is_answered(authority: Authority, version: ssl.TLSVersion, how: str) -> None:
    async def test() -> None:
        async with from_tls_to_plain(authority, version) as (world, client, server):
            await client.send(b"hello")
            if how == "fin":
                client.client.finish()
            else:
                client.say_end()
                await client.flush()
            assert await server.receive(6) == b"hello"
            await server.send(b"answer")
            server.close()
            assert await client.receive(6) == b"answer"
            assert await client.ending() == "close_notify"
            info = await world.ended.get()
        assert (info.bytes_received, info.bytes_sent) == (5, 6)

    run(test)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_comes_with_the_end_of_a_handshake_reaches_the_upstream(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    async def test() -> None:
        upstream = Upstream()
        async with serving((terminating(authority),), static_cluster("up", upstream.port)) as world:
            client = TlsPeer(await world.client(), client_context(authority, version), server_side=False)
            await client.shake_hands(flush=False)
            await client.send(b"hello")
            client.say_end()
            await client.flush()
            client.client.finish()
            assert await (await upstream.accept()).receive(6) == b"hello"

    run(test)


def test_what_a_client_has_said_goes_on_though_its_upstream_refuses_us_after_the_handshake(
    authority: Authority,
) -> None:
    """In TLS 1.3 our handshake is done before the server misses a certificate."""

    async def test() -> None:
        upstream = Upstream()
        cluster = static_cluster("up", upstream.port, transport_socket=originating(authority.root))
        async with serving((tcp_listener(to_cluster("up")),), cluster) as world:
            client = await world.client()
            await client.send(b"hello")
            context = server_context(authority, ssl.TLSVersion.TLSv1_3, demands=True)
            server = TlsPeer(await upstream.accept(), context, server_side=True)
            with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
                await server.shake_hands()
            server.client.close()
            assert await client.ending() == "fin"
            info = await world.ended.get()
        assert (info.bytes_received, info.bytes_sent, info.response_flags) == (5, 0, [])
        assert info.upstream_transport_failure_reason is None

    run(test)


def test_an_error_that_comes_with_the_end_of_a_handshake_ends_the_connection(authority: Authority) -> None:
    async def test() -> None:
        upstream = Upstream()
        cluster = static_cluster("up", upstream.port, transport_socket=originating(authority.root))
        async with serving((tcp_listener(to_cluster("up")),), cluster) as world:
            client = await world.client()
            server = TlsPeer(
                await upstream.accept(), server_context(authority, ssl.TLSVersion.TLSv1_3), server_side=True
            )
            await server.answer_hello(and_say=b"no TLS")
            assert await client.ending() == "fin"
            info = await world.ended.get()
        assert (info.upstream_tls_version, info.response_flags) == ("TLSv1.3", [])

    run(test)


def test_an_upstream_that_resets_while_its_certificate_is_read_has_failed(authority: Authority) -> None:
    async def test() -> None:
        upstream = Upstream()
        cluster = static_cluster("up", upstream.port, transport_socket=originating(authority.root))
        async with serving((tcp_listener(to_cluster("up")),), cluster) as world:
            await world.client()
            server = TlsPeer(
                await upstream.accept(), server_context(authority, ssl.TLSVersion.TLSv1_3), server_side=True
            )
            await server.answer_hello()
            server.client.reset()
            info = await world.ended.get()
        assert info.response_flags == ["UF", "URX"]
        assert info.upstream_transport_failure_reason == RESET

    run(test)


def test_a_clients_handshake_is_done_when_its_upstream_stands(authority: Authority) -> None:
    """A client of TLS 1.3 needs the server's first message only."""
    version = ssl.TLSVersion.TLSv1_2

    async def test() -> None:
        upstream, done = Upstream(), list[str]()
        cluster = static_cluster("up", upstream.port, transport_socket=originating(authority.root))
        async with serving((terminating(authority),), cluster) as world:
            client = TlsPeer(await world.client(), client_context(authority, version), server_side=False)
            shaking = asyncio.ensure_future(_noting(client, "hello", done))
            server = TlsPeer(await upstream.accept(), server_context(authority, version), server_side=True)
            await _noting(server, "answer", done)
            await shaking
        assert done == ["answer", "hello"]

    async def _noting(peer: TlsPeer, word: str, done: list[str]) -> None:
        await peer.shake_hands()
        done.append(word)
        await peer.send(word.encode())
        await peer.receive(1)

    run(test)


@pytest.mark.parametrize("says_more", [True, False])
def test_a_reset_after_close_notify_is_found_out_by_the_next_write(authority: Authority, says_more: bool) -> None:
    async def test() -> None:
        async with from_plain_to_tls(authority, ssl.TLSVersion.TLSv1_3) as (world, client, server):
            await client.send(b"hello")
            await server.receive(5)
            server.say_end()
            await server.flush()
            server.client.reset()
            assert await client.ending() == "fin"
            if says_more:
                await client.send(b"!")
            else:
                client.finish()
            info = await world.ended.get()
        assert (info.bytes_received, info.response_flags) == ((6, ["UR"]) if says_more else (5, []))

    run(test)


def test_a_clients_reset_is_an_error_of_its_tls(authority: Authority) -> None:
    async def test() -> None:
        async with from_tls_to_plain(authority, ssl.TLSVersion.TLSv1_3) as (world, client, server):
            await client.send(b"hello")
            await server.receive(5)
            client.client.reset()
            info = await world.ended.get()
        assert info.downstream_transport_failure_reason == RESET

    run(test)
