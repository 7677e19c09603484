"""How a connection through the TCP proxy ended, as Envoy 1.39.3 logged it: close types and Envoy's own reasons."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.access_log.operator_values import (
    downstream_close_type,
    host_of_last_try,
    local_close_reason,
    upstream_close_type,
    upstream_local,
    upstream_local_close_reason,
    upstream_remote,
)
from sandbox.plan.base import Pipe
from sandbox.plan.cluster import Cluster, ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints
from sandbox.plan.listener import TunnelingConfig
from sandbox.plan.rbac import NetworkRbac, Permission, Policy, Principal, Rules
from tests.proxy.proxy_world import Upstream, on_a_loop, serving, static_cluster, tcp_listener, to_cluster
from tests.proxy.test_tls_ends import server_context
from tests.proxy.test_transport_security import Authority, originating

NOBODY = Policy(permissions=(Permission(any=True),), principals=(Principal(any=True),))
SHORT = timedelta(milliseconds=50)
DENY_ALL = NetworkRbac(rules=Rules(action="DENY", policies={"nobody": NOBODY}))


@pytest.mark.parametrize(
    ("how", "downstream", "upstream", "reason"),
    [
        pytest.param("client resets", "RemoteReset", "Normal", None, id="the client resets"),
        pytest.param("upstream resets", "LocalReset", "RemoteReset", None, id="the upstream resets"),
        pytest.param("both end", "Normal", "Normal", None, id="both end"),
        pytest.param("denied", "Normal", "Normal", "rbac_deny_close", id="a policy ends it"),
        pytest.param("nobody speaks", "Normal", "Normal", "tcp_session_idle_timeout", id="nobody speaks"),
        pytest.param("too long", "Normal", "Normal", "max_connection_duration_reached", id="it lives too long"),
    ],
)
@on_a_loop
async def test_how_it_ended(how: str, downstream: str, upstream: str, reason: str | None) -> None:
    idle = SHORT if how == "nobody speaks" else timedelta(0)
    longest = SHORT if how == "too long" else None

    origin = Upstream()
    filters = [DENY_ALL] if how == "denied" else []
    listener = tcp_listener(*filters, to_cluster("up", idle_timeout=idle, max_downstream_connection_duration=longest))
    async with serving((listener,), static_cluster("up", origin.port)) as world:
        client = await world.client()
        server = await origin.accept()
        await client.send(b"a")
        if how != "denied":
            await server.receive(1)
        if how == "client resets":
            client.reset()
        elif how == "upstream resets":
            server.reset()
        elif how == "both end":
            client.finish()
            server.close()
        info = await world.ended.get()
        assert (downstream_close_type(info), upstream_close_type(info)) == (downstream, upstream)
        assert local_close_reason(info) == reason
        assert upstream_local_close_reason(info) == (None if how == "denied" else reason)


@pytest.mark.parametrize(
    ("limit", "flags", "reason"),
    [
        ("idle_timeout", [], "tcp_session_idle_timeout"),
        ("max_downstream_connection_duration", ["DT"], "max_connection_duration_reached"),
    ],
)
@on_a_loop
async def test_limits_hold_while_the_upstream_is_under_way(limit: str, flags: list[str], reason: str) -> None:
    origin = Upstream()
    cluster = static_cluster("up", origin.port, transport_socket=originating(None))
    async with serving((tcp_listener(to_cluster("up", **{limit: SHORT})),), cluster) as world:
        await world.client()
        await origin.accept()
        info = await world.ended.get()
    assert (info.response_flags, local_close_reason(info), upstream_local_close_reason(info)) == (flags, reason, None)
    assert (info.upstream_host, host_of_last_try(info)) == (None, f"127.0.0.1:{origin.port}")


@on_a_loop
async def test_a_tunnel_that_nobody_answers_has_failed() -> None:
    origin = Upstream()
    tunnel = TunnelingConfig(hostname="dst.example:443")
    listener = tcp_listener(to_cluster("up", tunneling_config=tunnel, idle_timeout=SHORT))
    async with serving((listener,), static_cluster("up", origin.port)) as world:
        await world.client()
        await origin.accept()
        info = await world.ended.get()
    assert (info.response_flags, local_close_reason(info)) == (["UF"], "tcp_session_idle_timeout")


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "TLS"])
@on_a_loop
async def test_a_unix_socket_has_no_address_of_ours(tmp_path: Path, is_secure: bool) -> None:
    authority, path = Authority(tmp_path), str(tmp_path / "up")
    context = server_context(authority, ssl.TLSVersion.TLSv1_3) if is_secure else None
    server = await asyncio.start_unix_server(_close, path, ssl=context)
    endpoint = LbEndpoint(endpoint=Endpoint(address=Pipe(path=path)))
    cluster = Cluster(
        name="up",
        type="STATIC",
        load_assignment=ClusterLoadAssignment(endpoints=(LocalityLbEndpoints(lb_endpoints=(endpoint,)),)),
        transport_socket=originating(authority.root) if is_secure else None,
    )
    async with serving((tcp_listener(to_cluster("up")),), cluster) as world:
        client = await world.client()
        client.finish()
        info = await world.ended.get()
    server.close()
    assert (upstream_local(info), upstream_remote(info)) == (None, path)


async def _close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
