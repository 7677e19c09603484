"""Fixtures for tests of other programs: a sandbox beside the test, what went through it, and why.

``egress_sandbox`` starts one: ``mesh = egress_sandbox("my-mesh/", workload="shop/frontend")``. The program under test
gets ``mesh.environment`` (``HTTP_PROXY`` and so on) or a mapped port; afterwards ``mesh.calls`` has every stream that
ended, and ``mesh.assert_allowed("api.example.com")`` or ``mesh.assert_blocked(...)`` fail with the deciding lines.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.app import Sandbox

START_SECONDS = 30.0
CALL_SECONDS = 5.0
BLOCKING_CLUSTER = "BlackHoleCluster"
BLOCKING_ROUTE = "block_all"


@dataclass(slots=True)
class RunningSandbox:
    """A sandbox that serves in a thread of its own until the test ends."""

    addresses: dict[str, Any]
    """What is bound, by the door's name: ``proxy``, ``map ADDRESS:PORT``; each has ``host`` and ``port``."""
    log_file: Path
    calls: list[StreamInfo] = field(default_factory=list)
    """Every stream that has ended, oldest first."""

    @property
    def proxy_url(self) -> str:
        """The explicit HTTP proxy."""
        return f"http://{self.addresses['proxy']}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make most programs use the proxy."""
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        return {**dict.fromkeys(names, self.proxy_url), "NO_PROXY": "", "no_proxy": ""}

    def calls_to(self, host: str) -> list[StreamInfo]:
        """The streams whose Host header, server name or destination is ``host``."""
        return [call for call in self.calls if host in _names_of(call)]

    def wait_for_call(self, host: str, seconds: float = CALL_SECONDS) -> StreamInfo:
        """The last stream to ``host``; waits for one to end."""
        deadline = time.monotonic() + seconds
        while not (found := self.calls_to(host)):
            if time.monotonic() > deadline:
                seen = sorted({name for call in self.calls for name in _names_of(call)})
                others = f"calls to {', '.join(seen)}" if seen else "no calls at all"
                pytest.fail(f"no call to {host} ended within {seconds:g} s; there were {others}")
            threading.Event().wait(0.01)
        return found[-1]

    def assert_allowed(self, host: str) -> None:
        """Fails, with the deciding lines, unless the last call to ``host`` was let through by the mesh."""
        call = self.wait_for_call(host)
        if is_blocked(call):
            pytest.fail(f"the call to {host} was blocked\n{told(call)}")

    def assert_blocked(self, host: str) -> None:
        """Fails, with the deciding lines, unless the last call to ``host`` was blocked by the outbound policy."""
        call = self.wait_for_call(host)
        if not is_blocked(call):
            pytest.fail(f"the call to {host} was let through\n{told(call)}")


@pytest.fixture
def egress_sandbox(tmp_path: Path) -> Iterator[Callable[..., RunningSandbox]]:
    """Starts sandboxes: files and directories, then any field of ``sandbox.settings.Settings`` by name."""
    ends: list[Callable[[], None]] = []

    def start(*files: str | Path, **settings: Any) -> RunningSandbox:
        running, end = _start([str(file) for file in files], tmp_path / f"egress-{len(ends)}.log", settings)
        ends.append(end)
        return running

    yield start
    for end in ends:
        end()


def is_blocked(call: StreamInfo) -> bool:
    """Whether the outbound policy refused it, as opposed to a failure on the way."""
    return call.upstream_cluster_name == BLOCKING_CLUSTER or (
        call.virtual_host is not None and call.virtual_host.name == BLOCKING_ROUTE
    )


def told(call: StreamInfo) -> str:
    """What became of a call, and the lines that decided."""
    # Imported here: only a failure needs them.
    from sandbox.cli.deciding_lines import deciding_lines
    from sandbox.cli.problem_report import FileTexts

    flags = ",".join(call.response_flags) or "-"
    first = f"  status {call.response_code or 0}, flags {flags}, cluster {call.upstream_cluster_name or '-'}"
    return "\n".join([first, *(f"  {place}  {text}" for place, text in deciding_lines(call, FileTexts()))])


def _names_of(call: StreamInfo) -> set[str]:
    authority = (call.authority or b"").decode("latin-1")
    names = {authority, authority.rpartition(":")[0], call.requested_server_name, call.downstream_local_address}
    return {name for name in names if name}


def _start(files: list[str], log_file: Path, options: dict[str, Any]) -> tuple[RunningSandbox, Callable[[], None]]:
    """Starts the thread; returns when the sandbox serves, or raises what kept it from that."""
    # Imported here: every run of pytest imports this plugin, few use it.
    from sandbox.app import Sandbox
    from sandbox.settings import HostPort, Settings

    settings = Settings(
        files=tuple(files),
        **{"proxy": HostPort("127.0.0.1", 0), "with_gateways": True, "access_log": str(log_file), **options},
    )
    running = RunningSandbox({}, log_file)
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(Sandbox(settings), running, started)), daemon=True)
    thread.start()
    loop, ended = started.result(START_SECONDS)

    def end() -> None:
        loop.call_soon_threadsafe(ended.set)
        thread.join(START_SECONDS)

    return running, end


async def _serve(
    sandbox: Sandbox, running: RunningSandbox, started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]
) -> None:
    sandbox.subscribe(running.calls.append)
    try:
        await sandbox.start()
    except BaseException as error:  # noqa: BLE001 (the test's thread waits for it, and raises it there)
        started.set_exception(error)
        return
    ended = asyncio.Event()
    running.addresses.update(sandbox.addresses)
    started.set_result((asyncio.get_running_loop(), ended))
    await ended.wait()
    await sandbox.stop()
