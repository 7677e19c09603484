"""HTTP for tests of the data plane: a listener with one connection manager, and raw messages."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from sandbox.plan.http_connection_manager import Cors, HttpConnectionManager, HTTPFault, HttpFilter, Router, Tracing
from sandbox.plan.listener import Listener
from sandbox.plan.route import (
    Decorator,
    DirectResponseAction,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from tests.proxy.proxy_world import Client, Upstream, World, serving, tcp_listener

FILTERS = (
    HttpFilter(name="envoy.filters.http.fault", typed_config=HTTPFault()),
    HttpFilter(name="envoy.filters.http.cors", typed_config=Cors()),
    HttpFilter(name="envoy.filters.http.router", typed_config=Router()),
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def http_listener(*routes: Route, **more: object) -> Listener:
    """A listener whose manager sends every host through ``routes``."""
    host = VirtualHost(name="all", domains=("*",), routes=routes, include_request_attempt_count=True)
    settings: dict[str, Any] = {
        "stream_idle_timeout": timedelta(0),
        "delayed_close_timeout": timedelta(milliseconds=30),
        "normalize_path": True,
        "proxy_100_continue": True,
        "tracing": Tracing(),
    } | more
    return tcp_listener(
        HttpConnectionManager(
            route_config=RouteConfiguration(name="80", virtual_hosts=(host,)), http_filters=FILTERS, **settings
        )
    )


def route(cluster: str = "up", **action: Any) -> Route:
    """Everything to one cluster, without a timeout."""
    action.setdefault("timeout", timedelta(0))
    return Route(
        name="default",
        match=RouteMatch(prefix="/"),
        action=RouteAction(cluster=cluster, **action),
        decorator=Decorator(operation="svc:80/*"),
    )


def direct(status: int) -> Route:
    return Route(name="block_all", match=RouteMatch(prefix="/"), action=DirectResponseAction(status=status))


def get(path: str = "/", *fields: str, method: str = "GET", body: str = "") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: svc.example.com", *fields, "", body]).encode()


async def read_head(client: Client) -> bytes:
    """One head, masked: dates, ids and times of the upstream."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        part = await client.receive(1)
        if not part:
            break
        data += part
    return masked(data)


async def read_message(client: Client) -> bytes:
    """A head and the body its length says."""
    head = await read_head(client)
    length = re.search(rb"content-length: (\d+)", head)
    return head + (await client.receive(int(length[1])) if length else b"")


def masked(data: bytes) -> bytes:
    data = re.sub(rb"date: [^\r]+", b"date: D", data)
    data = re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"UUID", data)
    return re.sub(rb"service-time: \d+", b"service-time: T", data)


async def head_of_answer(answering: Route, request: bytes) -> bytes:
    """What a route without an upstream answers."""
    async with serving((http_listener(answering),)) as world:
        client = await world.client()
        await client.send(request)
        return await read_head(client)


async def asked(world: World, upstream: Upstream) -> tuple[Client, Client]:
    """A client whose request has arrived, and the upstream's side, which may answer."""
    client = await world.client()
    await client.send(get())
    server = await upstream.accept()
    await read_head(server)
    return client, server
