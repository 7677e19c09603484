"""HTTP/1.1 through the proxy: the bytes both sides see, how connections end, and what the log would say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sandbox.access_log.stream_info import StreamInfo
from sandbox.compiler.retries import PREVIOUS_PRIORITIES
from sandbox.plan.access_log import AccessLog, FileAccessLog, SubstitutionFormatString
from sandbox.plan.base import FractionalPercent, HeaderValue, HeaderValueOption
from sandbox.plan.cluster import (
    CircuitBreakers,
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
    Thresholds,
)
from sandbox.plan.http_connection_manager import FaultAbort, FaultDelay, HTTPFault, UpgradeConfig
from sandbox.plan.route import RedirectAction, RequestMirrorPolicy, RetryPolicy, Route, RouteMatch
from tests.proxy.http_world import OK, asked, direct, get, http_listener, masked, read_head, read_message, route
from tests.proxy.proxy_world import Upstream, address, closed_port, on_a_loop, serving, static_cluster

ALL = FractionalPercent(numerator=100)
SORRY = b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@on_a_loop
async def test_a_request_is_forwarded_as_envoy_writes_it() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/p?q=1", "X-Mixed: A", "Connection: keep-alive, X-Drop", "X-Drop: 1", "TE: trailers"))
        server = await upstream.accept()
        assert await read_head(server) == (
            b"GET /p?q=1 HTTP/1.1\r\nhost: svc.example.com\r\nx-mixed: A\r\nte: trailers\r\n"
            b"x-forwarded-proto: http\r\nx-request-id: UUID\r\nx-envoy-decorator-operation: svc:80/*\r\n"
            b"x-envoy-attempt-count: 1\r\n\r\n"
        )
        await server.send(b"HTTP/1.1 200 Fine\r\nServer: nginx\r\nX-UP: 1\r\nContent-Length: 2\r\n\r\nok")
        assert await read_message(client) == (
            b"HTTP/1.1 200 OK\r\nserver: envoy\r\nx-up: 1\r\ncontent-length: 2\r\n"
            b"x-envoy-upstream-service-time: T\r\ndate: D\r\n\r\nok"
        )
        info = await world.ended.get()
        assert (info.response_code, info.response_code_details, info.bytes_sent) == (200, "via_upstream", 2)
        assert info.response_flags == []


@on_a_loop
async def test_connections_to_the_upstream_are_used_again() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        server = None
        for _ in range(2):
            client = await world.client()
            await client.send(get())
            server = server or await upstream.accept()
            await read_head(server)
            await server.send(OK)
            await read_message(client)
            client.close()


@on_a_loop
async def test_pipelined_requests_are_answered_in_turn() -> None:
    async with serving((http_listener(direct(502)),)) as world:
        client = await world.client()
        await client.send(get("/1") + get("/2"))
        answer = b"HTTP/1.1 502 Bad Gateway\r\ndate: D\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n"
        assert [await read_head(client), await read_head(client)] == [answer, answer]
        assert [(await world.ended.get()).path for _ in range(2)] == [b"/1", b"/2"]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        pytest.param(
            get("/", "Content-Length: 2", method="POST", body="hi"),
            b"HTTP/1.1 502 Bad Gateway\r\ndate: D\r\nserver: envoy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            id="a body that is not read",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ndate: D\r\nserver: envoy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            id="no Host",
        ),
        pytest.param(
            get("/", "NoColon"),
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 11\r\ncontent-type: text/plain\r\ndate: D\r\n"
            b"server: envoy\r\nconnection: close\r\n\r\nBad Request",
            id="a broken head",
        ),
        pytest.param(
            get("/", "Connection: Upgrade", "Upgrade: foo"),
            b"HTTP/1.1 403 Forbidden\r\ndate: D\r\nserver: envoy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            id="an upgrade that is not configured",
        ),
    ],
)
@on_a_loop
async def test_answers_that_cost_the_connection(request_: bytes, answer: bytes) -> None:
    async with serving((http_listener(direct(502)),)) as world:
        client = await world.client()
        await client.send(request_)
        assert masked(await client.receive(10_000)) == answer


@on_a_loop
async def test_a_head_request_gets_no_body_but_its_length() -> None:
    async with serving((http_listener(route()),), static_cluster("up")) as world:
        client = await world.client()
        await client.send(get(method="HEAD") + get())
        head = (
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 19\r\ncontent-type: text/plain\r\n"
            b"date: D\r\nserver: envoy\r\n\r\n"
        )
        assert await read_head(client) == head
        assert await read_message(client) == head + b"no healthy upstream"
        assert (await world.ended.get()).response_flags == ["UH"]


@pytest.mark.parametrize(
    ("answer", "flag", "reason", "status"),
    [
        (b"", "UC", "connection_termination", 503),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "UPE", "protocol_error", 502),
        (b"SSH-2.0-OpenSSH_9\r\n", "UPE", "protocol_error", 502),
    ],
)
@on_a_loop
async def test_an_upstream_that_does_not_answer_properly(answer: bytes, flag: str, reason: str, status: int) -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client, server = await asked(world, upstream)
        await server.send(answer)
        server.close()
        text = reason.replace("_", " ").encode()
        assert (await read_message(client)).endswith(b"before headers. reset reason: " + text)
        info = await world.ended.get()
        assert (info.response_code, info.response_flags) == (status, [flag])
        assert info.response_code_details == f"upstream_reset_before_response_started{{{reason}}}"


@on_a_loop
async def test_a_response_that_breaks_off_ends_the_connection() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client, server = await asked(world, upstream)
        await server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        server.close()
        assert (await client.receive(10_000)).endswith(b"\r\n\r\nhello")
        info = await world.ended.get()
        assert (info.response_code, info.response_flags, info.bytes_sent) == (200, ["UPE"], 5)


@on_a_loop
async def test_connections_of_both_sides_are_numbered_in_one_row() -> None:
    """As a real Envoy's: whatever is begun, a client's connection or one to an upstream, takes the next number."""

    upstream = Upstream()
    listener = http_listener(route("up"))
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        first = await world.client()
        await first.send(get())
        server = await upstream.accept()
        lines: list[StreamInfo] = []
        for client in (first, first, await world.client()):
            if client is not first or lines:
                await client.send(get())
            await read_message(server)
            await server.send(OK)
            await read_message(client)
            lines.append(await world.ended.get())
    begin = lines[0].connection_id
    assert [line.connection_id - begin for line in lines] == [0, 0, 2]
    assert [line.upstream_connection_id - begin for line in lines] == [1, 1, 1]


@on_a_loop
async def test_a_refused_connection_is_tried_again_and_then_reported() -> None:
    retry = RetryPolicy(retry_on="connect-failure", num_retries=2)
    listener = http_listener(route(retry_policy=retry))
    async with serving((listener,), static_cluster("up", closed_port())) as world:
        client = await world.client()
        await client.send(get())
        assert b"retried and the latest reset reason: remote connection failure" in await read_message(client)
        info = await world.ended.get()
        assert (info.response_flags, info.upstream_request_attempt_count) == (["URX", "UF"], 3)
        assert info.upstream_transport_failure_reason == "delayed_connect_error:_Connection_refused"
        assert info.upstream_connection_id == 0


@on_a_loop
async def test_a_retried_request_brings_its_body_along() -> None:
    upstream = Upstream()
    retry = RetryPolicy(retry_on="5xx", num_retries=1)
    async with serving((http_listener(route(retry_policy=retry)),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", "Content-Length: 5", method="POST", body="hello"))
        for count, answer in ((b"1", b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nboom"), (b"2", OK)):
            server = await upstream.accept()
            request = await read_message(server)
            assert b"x-envoy-attempt-count: " + count in request
            assert request.endswith(b"\r\n\r\nhello")
            await server.send(answer)
        assert (await read_message(client)).endswith(b"ok")


@pytest.mark.parametrize(("size", "attempts"), [(4, 2), (5, 1)])
@on_a_loop
async def test_a_body_beyond_the_listeners_buffer_is_not_sent_again(size: int, attempts: int) -> None:
    """A real Envoy with ``per_connection_buffer_limit_bytes``, as on gateways of the EDGE profile, tries no more."""

    upstream = Upstream()
    retry = RetryPolicy(retry_on="5xx", num_retries=1)
    listener = replace(http_listener(route(retry_policy=retry)), per_connection_buffer_limit_bytes=4)
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", f"Content-Length: {size}", method="POST", body="x" * size))
        server = await upstream.accept()
        for _ in range(attempts):
            await read_message(server)
            await server.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        assert (await read_message(client)).startswith(b"HTTP/1.1 500")
        info = await world.ended.get()
        assert info.upstream_request_attempt_count == attempts


@on_a_loop
async def test_retries_go_to_remote_localities_after_two_tries() -> None:
    near, remote = Upstream(), Upstream()
    retry = RetryPolicy(retry_on="5xx", num_retries=3, retry_priority=PREVIOUS_PRIORITIES)
    localities = tuple(
        LocalityLbEndpoints(
            priority=priority, lb_endpoints=(LbEndpoint(endpoint=Endpoint(address=address(each.port))),)
        )
        for priority, each in enumerate((near, remote))
    )
    cluster = replace(static_cluster("up"), load_assignment=ClusterLoadAssignment(endpoints=localities))
    async with serving((http_listener(route(retry_policy=retry)),), cluster) as world:
        client = await world.client()
        await client.send(get())
        for upstream, answer in ((near, SORRY), (near, SORRY), (remote, OK)):
            server = await upstream.accept()
            await read_message(server)
            await server.send(answer)
        assert (await read_message(client)).endswith(b"ok")


@on_a_loop
async def test_a_route_that_takes_too_long_times_out() -> None:
    upstream = Upstream()
    slow = route(timeout=timedelta(milliseconds=30))
    async with serving((http_listener(slow),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get())
        server = await upstream.accept()
        assert b"x-envoy-expected-rq-timeout-ms: 30" in await read_head(server)
        assert (await read_message(client)).endswith(b"upstream request timeout")
        info = await world.ended.get()
        assert (info.response_code, info.response_flags, info.response_code_details) == (
            504,
            ["UT"],
            "response_timeout",
        )


@on_a_loop
async def test_a_client_that_leaves_is_logged() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client, server = await asked(world, upstream)
        client.close()
        info = await world.ended.get()
        assert (info.response_code, info.response_flags) == (None, ["DC"])
        assert await server.ending() == "fin"


@on_a_loop
async def test_faults_delay_and_abort() -> None:
    fault = HTTPFault(
        delay=FaultDelay(fixed_delay=timedelta(milliseconds=5), percentage=ALL),
        abort=FaultAbort(http_status=418, percentage=ALL),
    )
    faulty = Route(
        match=RouteMatch(prefix="/"),
        action=route().action,
        typed_per_filter_config={"envoy.filters.http.fault": fault},
    )
    async with serving((http_listener(faulty),), static_cluster("up", closed_port())) as world:
        client = await world.client()
        await client.send(get())
        answer = await read_message(client)
        assert answer.startswith(b"HTTP/1.1 418 Unknown\r\n")
        assert answer.endswith(b"fault filter abort")
        assert (await world.ended.get()).response_flags == ["DI", "FI"]


@on_a_loop
async def test_a_redirect_says_where_to() -> None:
    moved = Route(
        match=RouteMatch(prefix="/"), action=RedirectAction(host_redirect="new.example.com", https_redirect=True)
    )
    async with serving((http_listener(moved),)) as world:
        client = await world.client()
        await client.send(get("/a?b=c"))
        assert await read_head(client) == (
            b"HTTP/1.1 301 Moved Permanently\r\nlocation: https://new.example.com/a?b=c\r\n"
            b"date: D\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n"
        )


@on_a_loop
async def test_headers_are_changed_on_the_way_there_and_back() -> None:
    def option(name: str, value: str, action: str = "APPEND_IF_EXISTS_OR_ADD") -> HeaderValueOption:
        return HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=action)

    changing = Route(
        match=RouteMatch(prefix="/"),
        action=route().action,
        request_headers_to_add=(
            option("x-set", "%REQ(:METHOD)%", "OVERWRITE_IF_EXISTS_OR_ADD"),
            option("x-added", "a"),
        ),
        request_headers_to_remove=("x-gone",),
        response_headers_to_remove=("x-secret",),
    )
    upstream = Upstream()
    async with serving((http_listener(changing),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", "X-Set: old", "X-Added: old", "X-Gone: 1"))
        server = await upstream.accept()
        request = await read_head(server)
        assert b"\r\nhost: svc.example.com\r\nx-added: old\r\n" in request
        assert request.endswith(b"x-set: GET\r\nx-added: a\r\n\r\n")
        await server.send(b"HTTP/1.1 200 OK\r\nX-Secret: 1\r\nContent-Length: 0\r\n\r\n")
        assert b"x-secret" not in await read_head(client)


@on_a_loop
async def test_a_mirror_gets_a_copy_that_nobody_waits_for() -> None:
    main, shadow = Upstream(), Upstream()
    mirrored = route(request_mirror_policies=(RequestMirrorPolicy(cluster="shadow"),))
    clusters = static_cluster("up", main.port), static_cluster("shadow", shadow.port)
    async with serving((http_listener(mirrored),), *clusters) as world:
        client = await world.client()
        await client.send(get("/", "Content-Length: 5", method="POST", body="hello"))
        server = await main.accept()
        await read_message(server)
        await server.send(OK)
        await read_message(client)
        recorder = await shadow.accept()
        copy = await read_message(recorder)
        await recorder.send(OK)
        assert b"host: svc.example.com-shadow\r\n" in copy
        assert copy.endswith(b"x-envoy-internal: true\r\nx-forwarded-for: 127.0.0.1\r\n\r\nhello")
        assert world.ended.qsize() == 1


@on_a_loop
async def test_requests_beyond_the_breakers_overflow() -> None:
    upstream = Upstream()
    breakers = CircuitBreakers(thresholds=(Thresholds(max_connections=1, max_pending_requests=1),))
    cluster = static_cluster("up", upstream.port, circuit_breakers=breakers)
    async with serving((http_listener(route()),), cluster) as world:
        first, second, third = [await world.client() for _ in range(3)]
        await first.send(get("/1"))
        server = await upstream.accept()
        await read_head(server)
        await second.send(get("/2"))
        await third.send(get("/3"))
        answer, other = await read_message(third), second
        if not answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\nx-envoy-overloaded: true\r\n"):
            pytest.fail(f"unexpected {answer!r}")
        assert (await world.ended.get()).response_flags == ["UO"]
        await server.send(OK)
        await read_head(server)
        await server.send(OK)
        assert (await read_message(other)).endswith(b"ok")


@on_a_loop
async def test_bytes_of_a_connection_that_goes_to_the_next_request_are_not_lost() -> None:
    upstream = Upstream()
    breakers = CircuitBreakers(thresholds=(Thresholds(max_connections=1, max_pending_requests=1),))
    cluster = static_cluster("up", upstream.port, circuit_breakers=breakers)
    words = SubstitutionFormatString(json_format={"size": "%UPSTREAM_WIRE_BYTES_RECEIVED%"})
    log = AccessLog(typed_config=FileAccessLog(path="/dev/null", log_format=words))
    async with serving((http_listener(route(), access_log=(log,)),), cluster) as world:
        first, second, third = [await world.client() for _ in range(3)]
        await first.send(get("/1"))
        server = await upstream.accept()
        await read_head(server)
        for client in (second, third):
            await client.send(get("/2"))
        await world.ended.get()  # one of them is refused: the other waits for the connection
        await server.send(OK)
        await read_head(server)
        await server.send(OK)

        sizes = [(await world.ended.get()).upstream_wire_bytes_received for _ in range(2)]

    assert sizes == [len(OK), len(OK)]


@on_a_loop
async def test_an_upgrade_becomes_a_tunnel() -> None:
    upstream = Upstream()
    listener = http_listener(route(), upgrade_configs=(UpgradeConfig(upgrade_type="websocket"),))
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", "Connection: Upgrade", "Upgrade: websocket"))
        server = await upstream.accept()
        assert b"connection: Upgrade\r\nupgrade: websocket\r\n" in await read_head(server)
        await server.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        assert await read_head(client) == (
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            b"date: D\r\nserver: envoy\r\n\r\n"
        )
        await client.send(b"ping")
        assert await server.receive(4) == b"ping"
        await server.send(b"pong!")
        assert await client.receive(5) == b"pong!"
        client.close()
        info = await world.ended.get()
        assert (info.response_code, info.response_flags) == (101, ["DC"])
        assert (info.bytes_received, info.bytes_sent) == (4, 5)


@on_a_loop
async def test_an_upgrade_answered_as_a_plain_request_loses_its_body() -> None:
    upstream = Upstream()
    listener = http_listener(route(), upgrade_configs=(UpgradeConfig(upgrade_type="websocket"),))
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", "Connection: Upgrade", "Upgrade: websocket"))
        server = await upstream.accept()
        await read_head(server)
        await server.send(OK)
        assert await read_head(client) == (
            b"HTTP/1.1 200 OK\r\ndate: D\r\nserver: envoy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        )
        info = await world.ended.get()
        assert (info.response_code, info.response_code_details) == (200, "websocket_handshake_unsuccessful")
        assert info.bytes_sent == 0
        assert await client.ending() == "fin"


@on_a_loop
async def test_a_request_may_come_byte_by_byte() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        for byte in get("/", "Transfer-Encoding: chunked", method="POST", body="2\r\nhi\r\n0\r\n\r\n"):
            await client.send(bytes((byte,)))
        server = await upstream.accept()
        head = await read_head(server)
        assert head.endswith(b"transfer-encoding: chunked\r\n\r\n")
        body = b""
        while not body.endswith(b"0\r\n\r\n"):
            body += await server.receive(1)
        assert body in (b"2\r\nhi\r\n0\r\n\r\n", b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n")
        await server.send(OK)
        await read_message(client)
