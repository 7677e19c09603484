"""What a connection manager does that is an edge (``use_remote_address``), as gateways' are: as Envoy 1.39.3 does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sandbox.plan.cluster import Cluster
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import Listener
from sandbox.plan.route import RetryPolicy, Route, RouteConfiguration, VirtualHost
from sandbox.proxy.http_sniffing import SniffingConnection
from sandbox.wire import http2_frames as frames
from tests.proxy.http_world import FILTERS, OK, asked, direct, get, http_listener, read_head, read_message, route
from tests.proxy.proxy_world import Upstream, World, on_a_loop, serving, static_cluster, tcp_listener

FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n"


def edge(**more: object) -> Listener:
    return http_listener(direct(204), use_remote_address=True, **more)


async def first_line(world: World, request: bytes) -> bytes:
    client = await world.client()
    await client.send(request)
    return (await read_head(client)).partition(b"\r\n")[0] + b"\r\n"


@pytest.mark.parametrize(
    ("listener", "scheme", "line"),
    [
        pytest.param(edge(), "https", FORBIDDEN, id="an edge without TLS takes no https"),
        pytest.param(edge(), "http", NO_CONTENT, id="http is what it takes"),
        pytest.param(edge(xff_num_trusted_hops=1), "https", NO_CONTENT, id="behind another proxy it does"),
        pytest.param(http_listener(direct(204)), "https", NO_CONTENT, id="no edge, no rule"),
    ],
)
@on_a_loop
async def test_an_absolute_target_has_its_connections_scheme(listener: Listener, scheme: str, line: bytes) -> None:
    async with serving((listener,)) as world:
        request = f"GET {scheme}://svc.example.com/ HTTP/1.1\r\nHost: x\r\n\r\n"
        assert await first_line(world, request.encode()) == line
        if line == FORBIDDEN:
            info = await world.ended.get()
            assert info.response_flags == ["DPE"]
            assert info.response_code_details == "http1.https_url_on_plaintext_connection"


@pytest.mark.parametrize("start", [b"\x16\x03\x01\x00\x05\x01", b" GET", b"\tGET"])
@on_a_loop
async def test_bytes_that_begin_no_line_are_refused_before_it_ends(start: bytes) -> None:
    async with serving((edge(),)) as world:
        assert await first_line(world, start) == b"HTTP/1.1 400 Bad Request\r\n"


@pytest.mark.parametrize("start", [b"lo", b"\r\nlo", b"\xffT", b"{"])
@on_a_loop
async def test_other_bytes_wait_for_the_end_of_their_line(start: bytes) -> None:
    async with serving((edge(),)) as world:
        client = await world.client()
        await client.send(get() + start)
        assert await read_head(client)
        answer = asyncio.ensure_future(read_head(client))
        await asyncio.wait({answer}, timeout=0.1)
        assert not answer.done()
        await client.send(b" / HTTP/1.1\r\n")
        assert (await answer).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("requests", "answers"),
    [
        pytest.param(2, 2, id="two answers may wait"),
        pytest.param(3, 2, id="the third request is one too many"),
    ],
)
@on_a_loop
async def test_who_asks_on_while_two_answers_are_queued_is_cut_off(requests: int, answers: int) -> None:
    async with serving((edge(),)) as world:
        client = await world.client()
        await client.send(get() * requests)
        for _ in range(answers):
            assert (await read_head(client)).startswith(NO_CONTENT)
            assert (await world.ended.get()).response_code == 204
        if requests > answers:
            info = await world.ended.get()
            assert await client.ending() == "fin"
            assert (info.response_code, info.response_flags) == (None, ["DPE"])
            assert info.response_code_details == "codec_error:Too_many_responses_queued."


@on_a_loop
async def test_the_way_to_tls_is_told_to_grpc_in_its_own_words() -> None:
    async with serving((redirecting(),)) as world:
        client = await world.client()
        await client.send(get("/a?b", "Content-Type: application/grpc"))
        assert await read_head(client) == (
            b"HTTP/1.1 200 OK\r\nlocation: https://svc.example.com/a?b\r\ncontent-type: application/grpc\r\n"
            b"grpc-status: 2\r\ndate: D\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n"
        )


@pytest.mark.parametrize(
    ("trusted_hops", "line"),
    [
        pytest.param(0, b"HTTP/1.1 301 Moved Permanently\r\n", id="an edge knows the scheme itself"),
        pytest.param(1, b"HTTP/1.1 404 Not Found\r\n", id="behind another proxy it is believed, and leads nowhere"),
    ],
)
@on_a_loop
async def test_an_empty_x_forwarded_proto(trusted_hops: int, line: bytes) -> None:
    listener = redirecting(trusted_hops)
    async with serving((listener,)) as world:
        assert await first_line(world, get("/", "X-Forwarded-Proto: ")) == line


def redirecting(trusted_hops: int = 0) -> Listener:
    host = VirtualHost(name="all", domains=("*",), require_tls="ALL")
    configuration = RouteConfiguration(name="80", virtual_hosts=(host,))
    return tcp_listener(
        HttpConnectionManager(
            route_config=configuration,
            http_filters=FILTERS,
            stream_idle_timeout=timedelta(0),
            use_remote_address=True,
            xff_num_trusted_hops=trusted_hops,
        )
    )


def up(port: int) -> Cluster:
    return static_cluster("up", port)


@on_a_loop
async def test_a_grpc_status_is_tried_again_whatever_was_asked() -> None:
    unavailable = b"HTTP/1.1 200 OK\r\ngrpc-status: 14\r\ncontent-length: 0\r\n\r\n"

    upstream = Upstream()
    policy = RetryPolicy(retry_on="unavailable", num_retries=2)
    async with serving((http_listener(route(retry_policy=policy)),), up(upstream.port)) as world:
        client, server = await asked(world, upstream)
        await server.send(unavailable)
        assert b"x-envoy-attempt-count: 2" in await read_head(server)
        await server.send(OK)
        assert (await read_message(client)).endswith(b"ok")


@pytest.mark.parametrize(
    ("rest", "is_told"),
    [
        pytest.param(b"", True, id="the rest is not wanted"),
        pytest.param(frames.frame(frames.DATA, frames.END_STREAM, 1, b"x"), False, id="there is no rest"),
    ],
)
@on_a_loop
async def test_who_is_answered_before_the_end_of_an_http2_request_is_told_to_stop(rest: bytes, is_told: bool) -> None:
    block = bytes.fromhex("8386844103612e62")  # POST http://a.b/
    ping = frames.frame(frames.PING, 0, 0, b"01234567")

    async with serving((edge(codec_type="HTTP2"),)) as world:
        client = await world.client()
        head = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block)
        await client.send(frames.PREFACE + frames.settings_frame(()) + head + rest)
        assert (await world.ended.get()).response_code == 204
        await client.send(ping)
        received = b""
        while not received.endswith(b"01234567"):
            received += await client.receive(1)
        assert (frames.rst_stream(1, frames.NO_ERROR) in received) is is_told


@pytest.mark.parametrize(
    ("routes", "line"),
    [
        pytest.param((direct(200),), FORBIDDEN, id="no upgrade that the listener knows"),
        pytest.param((), b"HTTP/1.1 404 Not Found\r\n", id="nor a route, which is looked for first"),
    ],
)
@on_a_loop
async def test_an_upgrade_that_nobody_offers(routes: tuple[Route, ...], line: bytes) -> None:
    async with serving((http_listener(*routes),)) as world:
        assert await first_line(world, get("/", "Connection: Upgrade", "Upgrade: foo")) == line


class Codec(asyncio.Protocol):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.data.append(data)


class Connection(asyncio.Transport):
    """Knows whose it is."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


@pytest.mark.parametrize(
    ("first", "is_http2"),
    [
        pytest.param(frames.PREFACE, True, id="the whole preface"),
        pytest.param(frames.PREFACE[:12], True, id="enough of it"),
        pytest.param(frames.PREFACE[:11], False, id="not enough, and nobody waits for more"),
        pytest.param(b"GET / HTTP/1.1\r\n", False, id="a request"),
    ],
)
def test_the_first_piece_tells_the_version(first: bytes, is_http2: bool) -> None:
    http1, http2, transport = Codec(), Codec(), Connection()
    sniffing = SniffingConnection(lambda: http1, lambda: http2)

    sniffing.connection_made(transport)
    sniffing.data_received(first)

    assert transport.protocol is (http2 if is_http2 else http1)
    assert (http1.data, http2.data) == (([], [first]) if is_http2 else ([first], []))
