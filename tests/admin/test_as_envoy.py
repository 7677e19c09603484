"""The answers beside those of a real Envoy with the same configuration, where there is one on the path."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner

from sandbox.app import Sandbox
from sandbox.cli.main import egress
from sandbox.settings import HostPort, Settings

from .in_a_loop import in_a_loop

QUICKSTART = Path(__file__).resolve().parents[2] / "configs" / "quickstart"
ENVOY = shutil.which("envoy")
READY = b"all dependencies initialized"


@asynccontextmanager
async def envoy(directory: Path) -> AsyncIterator[str]:
    """An Envoy that listens nowhere but on its admin port; gives that one's address."""
    told = directory / "admin"
    export = ["export", "envoy", "-f", str(QUICKSTART)]
    configuration: Any = json.loads(CliRunner().invoke(egress, export, standalone_mode=False).stdout)
    configuration["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
    for listener in configuration["static_resources"]["listeners"]:
        listener["bind_to_port"] = False
    (directory / "envoy.json").write_text(json.dumps(configuration))
    assert ENVOY is not None
    options = ["-c", str(directory / "envoy.json"), "--admin-address-path", str(told), "--use-dynamic-base-id"]
    process = await asyncio.create_subprocess_exec(ENVOY, *options, "-l", "info", stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            while READY not in await process.stderr.readline():
                pass
        yield told.read_text()
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(ENVOY is None, reason="there is no Envoy here")
@in_a_loop
async def test_clusters_and_listeners_are_told_as_envoy_tells_them(tmp_path: Path) -> None:
    settings = Settings(files=(str(QUICKSTART),), proxy=None, admin=HostPort("127.0.0.1", 0))
    async with Sandbox(settings) as sandbox, ClientSession() as session, envoy(tmp_path) as theirs:
        for path in ("/clusters", "/listeners"):
            ours = await (await session.get(f"http://{sandbox.addresses['admin']}{path}")).text()
            expected = await (await session.get(f"http://{theirs}{path}")).text()
            # Envoy has read a file, where istiod would have sent clusters.
            told = ours.replace("via_api::true", "via_api::false")
            assert sorted(told.splitlines()) == sorted(expected.splitlines())
