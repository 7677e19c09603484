"""Connections that begin with a PROXY header: whom they come from, and what happens without the header."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandbox.plan.listener import Listener, ListenerFilter, ProxyProtocol
from tests.proxy.http_world import direct, get, http_listener, read_head
from tests.proxy.proxy_world import on_a_loop, serving

HEADER = b"PROXY TCP4 1.2.3.4 9.9.9.9 5555 80\r\n"


def fronted() -> Listener:
    reading = (ListenerFilter(name="proxy_protocol", typed_config=ProxyProtocol()),)
    return replace(http_listener(direct(204), use_remote_address=True), listener_filters=reading)


@pytest.mark.parametrize("cut", [len(HEADER), 7, len(HEADER) - 1], ids=["whole", "in its name", "before its end"])
@on_a_loop
async def test_the_client_is_whom_the_header_names(cut: int) -> None:
    async with serving((fronted(),)) as world:
        client = await world.client()
        await client.send(HEADER[:cut])
        await client.send(HEADER[cut:] + get())
        assert b" 204 " in await read_head(client)
        info = await world.ended.get()
        assert info.downstream_remote_address == "1.2.3.4:5555"
        assert info.downstream_local_address == "9.9.9.9:80"
        assert (info.downstream_direct_remote_address or "").startswith("127.0.0.1:")
        assert (b"x-forwarded-for", b"1.2.3.4") in info.request_headers


@on_a_loop
async def test_who_sends_no_header_is_cut_off() -> None:
    async with serving((fronted(),)) as world:
        client = await world.client()
        await client.send(get())
        assert await client.ending() == "rst"
