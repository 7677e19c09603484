"""Requests and connections that have ended are freed at once: cycles would cost the collector's time for each."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.plan.route import RetryPolicy
from tests.proxy.http_world import OK, asked, http_listener, read_message, route
from tests.proxy.proxy_world import Upstream, on_a_loop, serving, static_cluster, tcp_listener, to_cluster


@contextmanager
def no_cycles_of_ours() -> Iterator[None]:
    """Nothing of the proxy's is left for the garbage collector."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        left = {type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith("sandbox.proxy")}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == set()


@on_a_loop
async def test_a_request_and_its_connection_leave_nothing_to_the_garbage_collector() -> None:
    upstream = Upstream()
    retrying = route(retry_policy=RetryPolicy(retry_on="5xx", num_retries=2))
    async with serving((http_listener(retrying),), static_cluster("up", upstream.port)) as world:
        with no_cycles_of_ours():
            client, server = await asked(world, upstream)
            await server.send(OK)
            await read_message(client)
            await world.ended.get()
            client.close()
            await world.server.handler.until_idle()
    upstream.close()


@on_a_loop
async def test_a_tcp_connection_leaves_nothing_to_the_garbage_collector() -> None:
    upstream = Upstream()
    async with serving((tcp_listener(to_cluster("up")),), static_cluster("up", upstream.port)) as world:
        with no_cycles_of_ours():
            client = await world.client()
            await client.send(b"ping")
            server = await upstream.accept()
            assert await server.receive(4) == b"ping"
            server.close()
            client.close()
            await world.ended.get()
            await world.server.handler.until_idle()
    upstream.close()
