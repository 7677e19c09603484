"""One embedded internet for all tests of this folder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from sandbox.lab.internet import Internet


@pytest.fixture(scope="session")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    """It serves in a thread of its own, so that tests may use plain blocking clients."""
    certificates: Path = tmp_path_factory.mktemp("certs")
    ready: Future[tuple[Internet, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with Internet(certificates) as served:
            ended = asyncio.Event()
            ready.set_result((served, asyncio.get_running_loop(), ended))
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    served, loop, ended = ready.result(20)
    yield served
    loop.call_soon_threadsafe(ended.set)
    thread.join(20)
