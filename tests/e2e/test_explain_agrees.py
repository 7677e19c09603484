"""What explain says of the examples' calls is what really happens to them, with real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from sandbox.access_log.stream_info import StreamInfo
from sandbox.app import Sandbox
from sandbox.cli.demo_client import request
from sandbox.explain.call import parse_call
from sandbox.explain.steps import Outcome
from sandbox.explain.walk import explain
from sandbox.lab.internet import Internet
from sandbox.settings import HostPort, Settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
CALLS = {
    "allowed over TLS": ((EXAMPLES / "only-one-api",), "https://httpbin.org/get"),
    "blocked over TLS": ((EXAMPLES / "only-one-api",), "https://www.google.com/"),
    "blocked over HTTP": ((EXAMPLES / "only-one-api",), "http://www.aliyun.com/"),
    "wildcard hosts": ((EXAMPLES / "wildcard-hosts",), "https://en.wikipedia.org/"),
    "allow any": ((CONFIGS / "allow-any.yaml",), "http://httpbin.org/get"),
    "registry only": ((CONFIGS / "registry-only.yaml",), "http://httpbin.org/get"),
    "timeout": ((CONFIGS / "timeout",), "http://httpbin.org/status/204"),
}


@pytest.mark.parametrize(("files", "url"), CALLS.values(), ids=list(CALLS))
def test_explain_foretells_the_call(files: Sequence[Path], url: str, certificates: Path) -> None:
    outcome, stream = asyncio.run(_foretold_and_real(files, url, certificates))
    assert stream.upstream_cluster_name == (outcome.cluster or None)
    assert (stream.route.name if stream.route is not None else "") == outcome.route
    assert tuple(stream.response_flags) == outcome.flags
    if outcome.status is not None:
        assert (stream.response_code or 0) == outcome.status


async def _foretold_and_real(files: Sequence[Path], url: str, certificates: Path) -> tuple[Outcome, StreamInfo]:
    streams: asyncio.Queue[StreamInfo] = asyncio.Queue()
    async with Internet(certificates) as internet:
        settings = Settings(
            files=tuple(map(str, files)),
            proxy=HostPort("127.0.0.1", 0),
            resolve=tuple(internet.overrides),
            access_log="/dev/null",
        )
        async with Sandbox(settings) as sandbox:
            sandbox.subscribe(streams.put_nowait)
            snapshot = sandbox.snapshot
            assert snapshot is not None
            call = parse_call(url)
            address = next(each.address for each in internet.overrides if each.host == call.host)
            walk = explain(snapshot.node.plan, parse_call(url, address=address))
            door, authority = sandbox.addresses["proxy"], internet.authority.certificate_file
            await asyncio.to_thread(request, url, door, authority)
            return walk.outcome, await asyncio.wait_for(streams.get(), 5)
