"""Small rules of the HTTP filters, each as a real Envoy 1.39.3 showed it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.plan.access_log import AccessLog, FileAccessLog, SubstitutionFormatString
from sandbox.plan.base import (
    DataSource,
    FractionalPercent,
    HeaderValue,
    HeaderValueOption,
    RuntimeFractionalPercent,
    StringMatcher,
)
from sandbox.plan.cluster import Cluster
from sandbox.plan.http_connection_manager import Http1ProtocolOptions, HttpProtocolOptionsCommon, UpgradeConfig
from sandbox.plan.route import (
    ClusterWeight,
    CorsPolicy,
    DirectResponseAction,
    RedirectAction,
    RequestMirrorPolicy,
    RetryPolicy,
    Route,
    RouteAction,
    RouteMatch,
    WeightedCluster,
)
from sandbox.proxy.http_request_timeouts import RequestTimeouts
from tests.proxy.http_world import OK, get, head_of_answer, http_listener, read_head, read_message, route
from tests.proxy.proxy_world import Upstream, on_a_loop, serving, static_cluster

ANY = RouteMatch(prefix="/")
ALL = RuntimeFractionalPercent(default_value=FractionalPercent(numerator=100))


def option(name: str, value: str, action: str = "OVERWRITE_IF_EXISTS_OR_ADD") -> HeaderValueOption:
    return HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=action)


def with_cors(origin: str, methods: str = "PUT") -> Route:
    policy = CorsPolicy(
        allow_origin_string_match=(StringMatcher(exact=origin),), allow_methods=methods, filter_enabled=ALL
    )
    return replace(route(), typed_per_filter_config={"envoy.filters.http.cors": policy})


PREFLIGHT = get("/", "Origin: http://a", "Access-Control-Request-Method: PUT", method="OPTIONS")


@pytest.mark.parametrize(
    ("answering", "request_", "head"),
    [
        pytest.param(
            Route(match=ANY, action=RedirectAction(path_redirect="noslash")),
            get("/a?b"),
            b"HTTP/1.1 301 Moved Permanently\r\nlocation: http://svc.example.com/noslash?b\r\n"
            b"date: D\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n",
            id="a redirected path gets the slash it lacks",
        ),
        pytest.param(
            with_cors("*"),
            PREFLIGHT,
            b"HTTP/1.1 200 OK\r\naccess-control-allow-origin: http://a\r\naccess-control-allow-methods: PUT\r\n"
            b"date: D\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n",
            id="an exact asterisk allows every origin",
        ),
        pytest.param(
            with_cors("*", methods="*"),
            PREFLIGHT,
            b"HTTP/1.1 200 OK\r\naccess-control-allow-origin: http://a\r\naccess-control-allow-methods: PUT\r\n"
            b"date: D\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n",
            id="an asterisk allows the method that is asked about",
        ),
        pytest.param(
            Route(
                match=ANY,
                action=DirectResponseAction(status=200, body=DataSource(inline_string="{}")),
                response_headers_to_add=(option("content-type", "application/json"), option("content-length", "5")),
            ),
            get("/", "Content-Type: application/grpc"),
            b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 2\r\ngrpc-message: {}\r\n"
            b"date: D\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n",
            id="a gRPC reply keeps its own type and length",
        ),
    ],
)
@on_a_loop
async def test_answers_of_routes(answering: Route, request_: bytes, head: bytes) -> None:
    assert await head_of_answer(answering, request_) == head


@on_a_loop
async def test_a_local_reply_knows_its_details_when_headers_are_changed() -> None:
    answering = Route(
        match=ANY,
        action=RouteAction(cluster="gone", timeout=timedelta(0)),
        response_headers_to_add=(option("x-why", "%RESPONSE_CODE_DETAILS%"),),
    )
    async with serving((http_listener(answering),)) as world:
        client = await world.client()
        await client.send(get("/"))
        assert b"\r\nx-why: cluster_not_found\r\n" in await read_head(client)


@pytest.mark.parametrize(
    ("forwarding", "fields", "body", "expected"),
    [
        pytest.param(
            replace(route(), request_headers_to_remove=("content-length",)),
            ("Content-Length: 3",),
            "abc",
            b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            id="a body without its length goes in chunks",
        ),
        pytest.param(
            Route(
                match=ANY,
                action=RouteAction(
                    weighted_clusters=WeightedCluster(
                        clusters=(ClusterWeight(name="up", weight=1, host_rewrite_literal="weighted"),)
                    ),
                    host_rewrite_literal="rewritten",
                    timeout=timedelta(0),
                ),
            ),
            ("Content-Length: 1",),
            "a",
            b"x-envoy-attempt-count: 1\r\nx-envoy-original-host: weighted\r\n\r\na",
            id="the route's host comes after the weighted cluster's",
        ),
    ],
)
@on_a_loop
async def test_the_upstream_gets_the_request_as_envoy_writes_it(
    forwarding: Route, fields: tuple[str, ...], body: str, expected: bytes
) -> None:
    upstream = Upstream()
    async with serving((http_listener(forwarding),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", *fields, method="POST", body=body))
        server = await upstream.accept()
        request = await read_head(server)
        end = expected.partition(b"\r\n\r\n")[2]
        assert (request + await server.receive(len(end))).endswith(expected)
        await server.send(OK)
        assert (await read_message(client)).startswith(b"HTTP/1.1 200")


@on_a_loop
async def test_a_1xx_head_is_passed_on_without_what_tells_of_a_body() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/"))
        server = await upstream.accept()
        await read_head(server)
        await server.send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert await read_head(client) == b"HTTP/1.1 103 Unknown\r\nlink: a\r\n\r\n"
        client.close()
        info = await world.ended.get()
        assert (info.response_code, info.response_flags) == (103, ["DC"])


BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket")
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def retrying(per_try: float = 0, retries: int = 2) -> Route:
    return route(
        retry_policy=RetryPolicy(
            retry_on="5xx",
            num_retries=retries,
            per_try_timeout=timedelta(seconds=per_try),
        )
    )


@on_a_loop
async def test_one_1xx_head_is_passed_on_and_then_nothing_is_tried_again() -> None:
    upstream = Upstream()
    async with serving((http_listener(retrying()),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/"))
        server = await upstream.accept()
        await read_head(server)
        await server.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + BUSY)
        assert await read_head(client) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await read_head(client)).startswith(b"HTTP/1.1 503 ")
        info = await world.ended.get()
        assert (info.response_flags, info.upstream_request_attempt_count) == ([], 1)


@pytest.mark.parametrize("framing", ["X-None: 1", "Content-Length: 5", "Transfer-Encoding: chunked"])
@on_a_loop
async def test_the_payload_of_an_upgrade_waits_until_the_upstream_agrees(framing: str) -> None:
    upstream = Upstream()
    listener = http_listener(retrying(), upgrade_configs=(UpgradeConfig(upgrade_type="websocket"),))
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", *WEBSOCKET, framing, body="early"))
        first = await upstream.accept()
        await read_head(first)
        await first.send(BUSY)
        second = await upstream.accept()
        assert (await read_head(second)).endswith(b"x-envoy-attempt-count: 2\r\n\r\n")
        await second.send(SWITCHING)
        assert (await read_head(client)).startswith(b"HTTP/1.1 101 ")
        assert await second.receive(5) == b"early"
        client.close()
        info = await world.ended.get()
        assert (info.bytes_received, info.response_flags) == (5, ["DC"])


@on_a_loop
async def test_each_try_of_an_upgrade_has_its_time() -> None:
    upstream = Upstream()
    listener = http_listener(
        retrying(per_try=0.01, retries=1), upgrade_configs=(UpgradeConfig(upgrade_type="websocket"),)
    )
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", *WEBSOCKET))
        assert (await read_head(client)).startswith(b"HTTP/1.1 504 ")
        info = await world.ended.get()
        assert info.response_code_details == "upstream_per_try_timeout"
        assert (info.response_flags, info.upstream_request_attempt_count) == (["URX", "UT"], 2)
        assert await client.ending() == "fin"


@on_a_loop
async def test_the_first_attempt_is_counted_before_headers_are_added() -> None:
    counting = replace(route(), request_headers_to_add=(option("x-attempt", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),))
    upstream = Upstream()
    async with serving((http_listener(counting),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/"))
        server = await upstream.accept()
        assert (await read_head(server)).endswith(b"x-attempt: 1\r\n\r\n")
        await server.send(OK)
        await read_message(client)


@on_a_loop
async def test_a_mirror_sees_a_request_as_it_comes_and_ends_with_it() -> None:
    upstream, recorder = Upstream(), Upstream()
    mirrored = route(request_mirror_policies=(RequestMirrorPolicy(cluster="recorder", runtime_fraction=ALL),))
    clusters = (static_cluster("up", upstream.port), static_cluster("recorder", recorder.port))
    async with serving((http_listener(mirrored),), *clusters) as world:
        client = await world.client()
        await client.send(get("/", "Content-Length: 5", method="POST", body="he"))
        copy = await recorder.accept()
        assert b"content-length: 5\r\n" in await read_head(copy)
        assert await copy.receive(2) == b"he"
        client.close()
        assert await copy.ending() == "fin"
        assert (await world.ended.get()).response_flags == ["DC"]


@on_a_loop
async def test_a_mirror_waits_no_longer_for_its_answer_than_the_route_for_its_own() -> None:
    upstream, recorder = Upstream(), Upstream()
    policies = (RequestMirrorPolicy(cluster="recorder", runtime_fraction=ALL),)
    mirrored = route(request_mirror_policies=policies, timeout=timedelta(milliseconds=300))
    clusters = (static_cluster("up", upstream.port), static_cluster("recorder", recorder.port))
    async with serving((http_listener(mirrored),), *clusters) as world:
        client = await world.client()
        await client.send(get("/"))
        server, copy = await upstream.accept(), await recorder.accept()
        await server.send(OK)
        assert (await read_message(client)).startswith(b"HTTP/1.1 200 ")
        await read_head(copy)
        assert await copy.ending() == "fin"


@on_a_loop
async def test_a_request_may_limit_how_long_its_stream_lives() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", "X-Envoy-Upstream-Stream-Duration-Ms: 20"))
        server = await upstream.accept()
        assert b"stream-duration" not in await read_head(server)
        answer = await read_message(client)
        assert answer.startswith(b"HTTP/1.1 504 ")
        assert answer.endswith(b"upstream max stream duration reached")
        info = await world.ended.get()
        assert info.response_flags == ["UMSDR"]
        assert info.response_code_details == "upstream_max_stream_duration_reached"


@on_a_loop
async def test_sizes_in_the_log_are_those_of_all_tries() -> None:
    upstream = Upstream()
    log_format = SubstitutionFormatString(json_format={"b": "%UPSTREAM_WIRE_BYTES_SENT%"})
    log = AccessLog(name="log", typed_config=FileAccessLog(path="/dev/null", log_format=log_format))
    async with serving((http_listener(retrying(), access_log=(log,)),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/"))
        sizes = []
        for answer in (BUSY, OK):
            server = await upstream.accept()
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += await server.receive(1)
            sizes.append(len(request))
            await server.send(answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        await read_message(client)
        assert (await world.ended.get()).upstream_wire_bytes_sent == sum(sizes)


@on_a_loop
async def test_a_port_that_is_dialled_itself_leads_to_no_original_destination() -> None:
    cluster = Cluster(name="up", type="ORIGINAL_DST", lb_policy="CLUSTER_PROVIDED")
    async with serving((http_listener(route()),), cluster) as world:
        client = await world.client()
        await client.send(get("/"))
        assert (await read_message(client)).endswith(b"no healthy upstream")
        assert (await world.ended.get()).response_flags == ["UH"]


@pytest.mark.parametrize(
    ("answer", "connection"),
    [
        pytest.param(OK, b"keep-alive", id="with its length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"close", id="in chunks"
        ),
    ],
)
@on_a_loop
async def test_an_http10_client_keeps_its_connection_where_the_length_is_told(answer: bytes, connection: bytes) -> None:
    upstream = Upstream()
    listener = http_listener(route(), http_protocol_options=Http1ProtocolOptions(accept_http_10=True))
    async with serving((listener,), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        server = await upstream.accept()
        await read_head(server)
        await server.send(b"HTTP/1.1 100 Continue\r\n\r\n" + answer)
        assert await read_head(client) == b"HTTP/1.0 100 Continue\r\n\r\n"
        assert b"\r\nconnection: %b\r\n" % connection in await read_head(client)
        assert await client.receive(2) == b"ok"
        if connection == b"close":
            assert await client.ending() == "fin"


@pytest.mark.parametrize(
    ("settings", "body", "flags"),
    [
        ({"stream_idle_timeout": timedelta(milliseconds=10)}, b"stream timeout", ["SI"]),
        ({"request_headers_timeout": timedelta(milliseconds=10)}, b"request header timeout", []),
        (
            {"common_http_protocol_options": HttpProtocolOptionsCommon(max_stream_duration=timedelta(milliseconds=10))},
            b"downstream duration timeout",
            [],
        ),
    ],
)
@on_a_loop
async def test_a_head_has_to_come_in_time(settings: dict[str, object], body: bytes, flags: list[str]) -> None:
    async with serving((http_listener(route(), **settings),)) as world:
        client = await world.client()
        await client.send(b"GET / HTTP/1.1\r\nHos")
        answer = await read_message(client)
        assert (answer[:12], answer[-len(body) :]) == (b"HTTP/1.1 408", body)
        assert (await world.ended.get()).response_flags == flags
        assert await client.ending() == "fin"


@on_a_loop
async def test_a_host_before_its_rewrite_is_appended_to_x_forwarded_host() -> None:
    upstream = Upstream()
    rewriting = route(host_rewrite_literal="backend", append_x_forwarded_host=True)
    async with serving((http_listener(rewriting),), static_cluster("up", upstream.port)) as world:
        client = await world.client()
        await client.send(get("/", "X-Forwarded-Host: first"))
        server = await upstream.accept()
        assert b"\r\nx-forwarded-host: first,svc.example.com\r\n" in await read_head(server)
        await server.send(OK)
        await read_message(client)


def test_an_accepted_upgrade_starts_no_clock_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[float] = []

    def call_later(seconds: float, _callback: object) -> SimpleNamespace:
        started.append(seconds)
        return SimpleNamespace(cancel=lambda: None)

    monkeypatch.setattr(asyncio, "get_running_loop", lambda: SimpleNamespace(call_later=call_later))
    stream = SimpleNamespace(head=SimpleNamespace(marked={}), headers=[], is_grpc=False)
    router_filter: Any = SimpleNamespace(stream=stream, on_timeout=lambda: None)
    rules: Any = SimpleNamespace(timeout=5.0, per_try_timeout=0.0, max_grpc_timeout=None)
    timeouts = RequestTimeouts(router_filter, rules)
    timeouts.start_global()
    timeouts.response_started(is_upgrade=True)
    timeouts.request_completed(has_connection=True)

    assert started == [5.0]
