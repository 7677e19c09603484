"""What random HTTP/2 clients and upstreams showed of a live Envoy 1.39.3."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest
from h2.errors import ErrorCodes

from sandbox.plan.base import DataSource
from sandbox.plan.route import DirectResponseAction, Route

from .http_world import http_listener, read_head, route
from .proxy_world import Client, Upstream, on_a_loop, serving, static_cluster
from .test_http2_upgrades import Http2Server, speaking_http2
from .test_http_details import ANY


class Http2Client:
    """The client's side of one connection, with one request."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.h2.initiate_connection()

    async def ask(self, method: str, *fields: tuple[str, str], is_end: bool) -> None:
        head = [(":method", method), (":scheme", "http"), (":path", "/"), (":authority", "svc.example.com"), *fields]
        self.h2.send_headers(1, head, end_stream=is_end)
        await self.flush()

    async def flush(self) -> None:
        await self.client.send(self.h2.data_to_send())

    async def until(self, kind: type[h2.events.Event]) -> list[h2.events.Event]:
        """Events of the request up to the first of this kind."""
        seen: list[h2.events.Event] = []
        while not any(isinstance(event, kind) for event in seen):
            events = self.h2.receive_data(await self.client.receive(1))
            seen += [event for event in events if getattr(event, "stream_id", 0) == 1]
        return seen


@on_a_loop
async def test_a_reply_to_head_ends_with_its_fields() -> None:
    answering = Route(match=ANY, action=DirectResponseAction(status=404, body=DataSource(inline_string="x")))
    async with serving((http_listener(answering),)) as world:
        client = Http2Client(await world.client())
        await client.ask("HEAD", is_end=True)
        seen = await client.until(h2.events.StreamEnded)
        assert not [event for event in seen if isinstance(event, h2.events.DataReceived)]
        assert (await world.ended.get()).bytes_sent == 0


@on_a_loop
async def test_an_informational_head_of_http1_loses_its_keep_alive() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client = Http2Client(await world.client())
        await client.ask("GET", is_end=True)
        server = await upstream.accept()
        await read_head(server)
        await server.send(b"HTTP/1.1 103 X\r\nKeep-Alive: k\r\nx-b: b\r\n\r\n")
        seen = await client.until(h2.events.InformationalResponseReceived)
        assert isinstance(seen[-1], h2.events.InformationalResponseReceived)
        assert seen[-1].headers == [(b":status", b"103"), (b"x-b", b"b")]


@pytest.mark.parametrize(("is_end", "flags"), [(False, ["DR"]), (True, [])], ids=["incomplete", "complete"])
@on_a_loop
async def test_a_request_that_is_broken_off_without_error(is_end: bool, flags: list[str]) -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), static_cluster("up", upstream.port)) as world:
        client = Http2Client(await world.client())
        await client.ask("POST", is_end=is_end)
        server = await upstream.accept()
        await read_head(server)
        client.h2.reset_stream(1, ErrorCodes.NO_ERROR)
        await client.flush()
        info = await world.ended.get()
        assert info.response_flags == flags
        assert info.response_code_details == ("http2.remote_reset" if flags else None)


@on_a_loop
async def test_an_upstream_that_answers_early_is_told_that_nothing_follows() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), speaking_http2(upstream.port)) as world:
        client = Http2Client(await world.client())
        await client.ask("POST", is_end=False)
        server = Http2Server(await upstream.accept())
        await server.request()
        server.h2.send_headers(server.stream_id, [(":status", "200")], end_stream=True)
        await server.flush()
        reset = await server.receive(h2.events.StreamReset)
        assert isinstance(reset, h2.events.StreamReset)
        assert reset.error_code == ErrorCodes.INTERNAL_ERROR
        await client.until(h2.events.ResponseReceived)


@on_a_loop
async def test_an_empty_frame_that_ends_a_request_is_passed_on() -> None:
    upstream = Upstream()
    async with serving((http_listener(route()),), speaking_http2(upstream.port)) as world:
        client = Http2Client(await world.client())
        await client.ask("POST", ("content-length", "0"), is_end=False)
        server = Http2Server(await upstream.accept())
        await server.request()
        client.h2.send_data(1, b"", end_stream=True)
        await client.flush()
        data = await server.receive(h2.events.DataReceived)
        assert isinstance(data, h2.events.DataReceived)
        assert (data.data, data.stream_ended is not None) == (b"", True)
        server.h2.send_headers(server.stream_id, [(":status", "204")], end_stream=True)
        await server.flush()
        await client.until(h2.events.StreamEnded)
