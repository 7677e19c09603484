"""What random requests, routes and upstreams showed of a live Envoy 1.39.3, as tables."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from sandbox.plan.base import HeaderValueOption, TypedExtensionConfig
from sandbox.plan.cluster import ExplicitHttpConfig, HttpProtocolOptions
from sandbox.plan.http_connection_manager import (
    HeaderKeyFormat,
    Http1ProtocolOptions,
    PreserveCaseFormatterConfig,
    UpgradeConfig,
)
from sandbox.plan.route import DirectResponseAction, RedirectAction, RequestMirrorPolicy, RetryPolicy, Route, RouteMatch
from sandbox.proxy.cluster_runtime import HTTP_OPTIONS
from tests.proxy.http_world import OK, asked, direct, get, head_of_answer, http_listener, read_head, read_message, route
from tests.proxy.proxy_world import Upstream, on_a_loop, serving, static_cluster
from tests.proxy.test_http_details import ALL, ANY, BUSY, WEBSOCKET, option

GRPC = "Content-Type: application/grpc"
CHUNKED = "Transfer-Encoding: chunked"
WEBSOCKETS = (UpgradeConfig(upgrade_type="websocket"),)
REFUSED_BY_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 13\r\n"


@pytest.mark.parametrize(
    ("answering", "request_", "head"),
    [
        pytest.param(
            Route(
                match=ANY,
                action=RedirectAction(path_redirect="/new"),
                response_headers_to_add=(option("content-type", "text/x"),),
            ),
            get(),
            b"HTTP/1.1 301 Moved Permanently\r\nlocation: http://svc.example.com/new\r\ndate: D\r\nserver: envoy\r\n"
            b"content-length: 0\r\n\r\n",
            id="no type without a body",
        ),
        pytest.param(
            Route(match=ANY, action=DirectResponseAction(status=503)),
            get("/a%00#b", GRPC),
            REFUSED_BY_HEAD + b"date: D\r\nserver: envoy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            id="a refused path is told to gRPC in its way",
        ),
        pytest.param(
            replace(route(), match=RouteMatch(prefix="/other")),
            b"CONNECT svc:80 HTTP/1.1\r\nHost: svc\r\nContent-Type: application/grpc\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\ndate: D\r\nserver: envoy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            id="a CONNECT is no call of gRPC",
        ),
        pytest.param(
            route("gone"),
            get("/", GRPC, method="HEAD"),
            b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 14\r\ndate: D\r\nserver: envoy\r\n"
            b"transfer-encoding: chunked\r\n\r\n",
            id="no message of gRPC where there is no body",
        ),
    ],
)
@on_a_loop
async def test_answers_of_our_own(answering: Route, request_: bytes, head: bytes) -> None:
    assert await head_of_answer(answering, request_) == head


ASKED = (option("x-envoy-retry-on", "5xx"), option("x-envoy-max-retries", "3"))


@pytest.mark.parametrize(
    ("written", "policy", "tries"),
    [
        pytest.param(ASKED, None, 4, id="where there is no policy"),
        pytest.param(ASKED[:1], None, 2, id="once, where nobody says how often"),
        pytest.param(ASKED[1:], RetryPolicy(retry_on="5xx", num_retries=1), 4, id="more often than the policy"),
        pytest.param(
            (option("x-envoy-max-retries", "0"),), RetryPolicy(retry_on="5xx", num_retries=1), 1, id="not at all"
        ),
    ],
)
@on_a_loop
async def test_header_operations_may_ask_for_retries(
    written: tuple[HeaderValueOption, ...], policy: RetryPolicy | None, tries: int
) -> None:
    upstream = Upstream()
    asking = replace(route(retry_policy=policy), request_headers_to_add=written)
    async with serving((http_listener(asking),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/"))
        for _ in range(tries):
            server = await upstream.accept()
            assert b"x-envoy-max-retries" not in await read_head(server)
            await server.send(BUSY.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await read_head(client)).startswith(b"HTTP/1.1 503 ")
        assert (await world.ended.get()).upstream_request_attempt_count == tries


@on_a_loop
async def test_header_operations_may_ask_for_an_empty_answer_to_a_timeout() -> None:
    upstream = Upstream()
    asking = replace(
        route(timeout=timedelta(milliseconds=10)),
        request_headers_to_add=(option("x-envoy-upstream-rq-timeout-alt-response", "1"),),
    )
    async with serving((http_listener(asking),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/"))
        assert await read_head(client) == b"HTTP/1.1 204 No Content\r\ndate: D\r\nserver: envoy\r\n\r\n"
        assert (await world.ended.get()).response_flags == ["UT"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(
            get("/", *WEBSOCKET, "TE: gzip", "Connection: X-A", "X-A: 1"),
            b"connection: Upgrade,X-A\r\nupgrade: websocket\r\nte: gzip\r\nx-a: 1\r\n",
            id="fields of an upgrade stay",
        ),
        pytest.param(
            get("/", "Content-Length: 2", "Connection: content-length", method="POST", body="hi"),
            b"x-forwarded-proto: http\r\nx-request-id: UUID\r\nx-envoy-decorator-operation: svc:80/*\r\n"
            b"x-envoy-attempt-count: 1\r\ntransfer-encoding: chunked\r\n",
            id="a body whose length is not told further goes in chunks",
        ),
        pytest.param(
            get("/", "Accept: a", "Accept:", "Via:", "Via: b", "x-envoy-is-timeout-retry: 1", "X-B: 1"),
            b"accept: a\r\nvia: b\r\nx-envoy-is-timeout-retry: 1\r\nx-b: 1\r\n",
            id="empty members of a list are left out",
        ),
    ],
)
@on_a_loop
async def test_heads_of_requests_upstream(request_: bytes, expected: bytes) -> None:
    upstream = Upstream()
    listener = http_listener(route(), upgrade_configs=WEBSOCKETS)
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(request_)
        server = await upstream.accept()
        fields = (await read_head(server)).partition(b"host: svc.example.com\r\n")[2]
        assert fields.startswith(expected)
        await server.send(BUSY)
        await read_head(client)


@on_a_loop
async def test_values_are_formatted_in_the_node_and_time_of_their_request() -> None:
    upstream = Upstream()
    telling = replace(
        route(),
        request_headers_to_add=(
            option("x-id", "%UNIQUE_ID%"),
            option("x-host", "%HOSTNAME%"),
            option("x-d", "%DURATION%"),
        ),
    )
    async with serving((http_listener(telling),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        request = get("/")
        await client.send(request[:10])
        await asyncio.sleep(0.02)  # the time that is told
        await client.send(request[10:])
        server = await upstream.accept()
        fields = dict(line.split(b": ", 1) for line in (await read_head(server)).split(b"\r\n")[1:-2])
        assert (fields[b"x-host"], fields[b"x-id"]) != (b"-", b"00000000-0000-4000-8000-000000000000")
        assert int(fields[b"x-d"]) >= 10
        await server.send(OK)
        await read_message(client)


@on_a_loop
async def test_framing_is_spelled_as_it_came_where_case_is_kept() -> None:
    config = TypedExtensionConfig(name="preserve_case", typed_config=PreserveCaseFormatterConfig())
    options = Http1ProtocolOptions(header_key_format=HeaderKeyFormat(stateful_formatter=config))
    upstream = Upstream()
    listener = http_listener(route(), http_protocol_options=options)
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", CHUNKED, method="POST", body="0\r\n\r\n"))
        server = await upstream.accept()
        assert (await read_head(server)).endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        await server.send(OK)
        await read_message(client)


@pytest.mark.parametrize(("method", "end"), [("POST", b"content-length: 0\r\n\r\n"), ("TRACE", b"\r\n")])
@on_a_loop
async def test_a_mirrored_request_without_a_body_says_so_last(method: str, end: bytes) -> None:
    upstream, recorder = Upstream(), Upstream()
    mirrored = route(request_mirror_policies=(RequestMirrorPolicy(cluster="recorder", runtime_fraction=ALL),))
    clusters = (static_cluster("up", upstream.port), static_cluster("recorder", recorder.port))
    async with serving((http_listener(mirrored),), *clusters) as world:
        client = await world.client()
        await client.send(get("/", method=method))
        copy = await recorder.accept()
        assert (await read_head(copy)).endswith(b"x-forwarded-for: 127.0.0.1\r\n" + end)
        server = await upstream.accept()
        for answering in (copy, server):
            await answering.send(OK)
        await read_message(client)


@on_a_loop
async def test_an_informational_head_is_spelled_as_it_came_where_case_is_kept() -> None:
    config = TypedExtensionConfig(name="preserve_case", typed_config=PreserveCaseFormatterConfig())
    options = Http1ProtocolOptions(header_key_format=HeaderKeyFormat(stateful_formatter=config))
    http = HttpProtocolOptions(explicit_http_config=ExplicitHttpConfig(http_protocol_options=options))
    upstream = Upstream()
    cluster = static_cluster("up", upstream.port, typed_extension_protocol_options={HTTP_OPTIONS: http})
    async with serving((http_listener(route()),), cluster) as world:
        client, server = await asked(world, upstream)
        await server.send(b"HTTP/1.1 103 X\r\nLink: a\r\nX-Envoy-Decorator-Operation: o\r\n\r\n" + OK)
        head = b"HTTP/1.1 103 Unknown\r\nLink: a\r\nX-Envoy-Decorator-Operation: o\r\n\r\n"
        assert await read_head(client) == head
        await read_message(client)


INFORMATIONAL = b"HTTP/1.1 103 X\r\nConnection: c\r\nKeep-Alive: k\r\nProxy-Connection: p\r\nUpgrade: u\r\nb: b\r\n\r\n"


@on_a_loop
async def test_an_informational_head_keeps_its_keep_alive() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client, server = await asked(world, upstream)
        await server.send(INFORMATIONAL + OK)
        assert await read_head(client) == b"HTTP/1.1 103 Unknown\r\nkeep-alive: k\r\nb: b\r\n\r\n"
        await read_message(client)


REFUSAL = (
    b"HTTP/1.1 200 OK\r\nKeep-Alive: k\r\nLocation: /l\r\nX-R: 1\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nok"
)


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        pytest.param(
            (),
            b"HTTP/1.1 200 OK\r\nlocation: q,/l\r\nx-seen: -\r\nkeep-alive: k\r\nx-r: 1\r\ndate: D\r\nserver: envoy\r\n"
            b"connection: close\r\ncontent-length: 0\r\n\r\n",
            id="in HTTP",
        ),
        pytest.param(
            (GRPC,),
            b"HTTP/1.1 200 OK\r\nlocation: q,/l\r\nx-seen: -\r\nkeep-alive: k\r\nx-r: 1\r\n"
            b"content-type: application/grpc\r\ngrpc-status: 2\r\ndate: D\r\nserver: envoy\r\nconnection: close\r\n"
            b"content-length: 0\r\n\r\n",
            id="in gRPC",
        ),
    ],
)
@on_a_loop
async def test_an_upgrade_that_is_answered_otherwise_gets_a_reply_of_ours(
    fields: tuple[str, ...], answer: bytes
) -> None:
    upstream = Upstream()
    changing = replace(
        route(retry_policy=RetryPolicy(retry_on="retriable-status-codes", retriable_status_codes=(200,))),
        response_headers_to_add=(option("location", "q"), option("x-seen", "-%RESP(x-r)%")),
    )
    listener = http_listener(changing, upgrade_configs=WEBSOCKETS)
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", *WEBSOCKET, *fields))
        server = await upstream.accept()
        await read_head(server)
        await server.send(REFUSAL)
        assert await read_head(client) == answer
        info = await world.ended.get()
        assert info.response_code_details == "websocket_handshake_unsuccessful"
        assert info.last_upstream_rx is None


@on_a_loop
async def test_payload_that_came_with_a_fault_is_lost() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/"))
        server = await upstream.accept()
        await read_head(server)
        await server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
        assert (await read_head(client)).startswith(b"HTTP/1.1 200 ")
        assert await client.receive(1) == b""


@on_a_loop
async def test_who_asks_on_and_leaves_is_noticed() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/"))
        server = await upstream.accept()
        await read_head(server)
        await client.send(get("/second"))
        client.close()
        info = await world.ended.get()
        assert (info.path, info.response_flags) == (b"/", ["DC"])
        assert await server.ending() == "fin"


@on_a_loop
async def test_who_goes_on_after_a_refusal_is_reset() -> None:
    async with serving((http_listener(direct(502)),)) as world:
        client = await world.client()
        await client.send(get("/", "Content-Length: 5", method="POST", body="he"))
        assert b"\r\nconnection: close\r\n" in await read_head(client)
        await client.send(b"llo")
        assert await client.ending() == "rst"
