"""How a connection through the TCP proxy ended, as Envoy 1.39.3 logged it: close types and Envoy's own reasons."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.access_log.operator_values import downstream_close_type, local_close_reason, upstream_close_type
from sandbox.plan.rbac import NetworkRbac, Permission, Policy, Principal, Rules
from tests.proxy.proxy_world import Upstream, on_a_loop, serving, static_cluster, tcp_listener, to_cluster

NOBODY = Policy(permissions=(Permission(any=True),), principals=(Principal(any=True),))
DENY_ALL = NetworkRbac(rules=Rules(action="DENY", policies={"nobody": NOBODY}))


@pytest.mark.parametrize(
    ("how", "downstream", "upstream", "reason"),
    [
        pytest.param("client resets", "RemoteReset", "Normal", None, id="the client resets"),
        pytest.param("upstream resets", "LocalReset", "RemoteReset", None, id="the upstream resets"),
        pytest.param("both end", "Normal", "Normal", None, id="both end"),
        pytest.param("denied", "Normal", "Normal", "rbac_deny_close", id="a policy ends it"),
        pytest.param("nobody speaks", "Normal", "Normal", "tcp_session_idle_timeout", id="nobody speaks"),
    ],
)
@on_a_loop
async def test_how_it_ended(how: str, downstream: str, upstream: str, reason: str | None) -> None:
    idle = timedelta(milliseconds=50) if how == "nobody speaks" else timedelta(0)

    origin = Upstream()
    filters = [DENY_ALL] if how == "denied" else []
    listener = tcp_listener(*filters, to_cluster("up", idle_timeout=idle))
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
