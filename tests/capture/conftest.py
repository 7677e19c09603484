"""Sandboxes for capture tests: a real one, and a control server that tells where each connection was meant to go."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandbox.capture import kernel_calls
from sandbox.capture.control_server import ControlServer, WorkloadIdentity
from sandbox.dns.server import DnsServer
from sandbox.dns.upstream import UpstreamResolvers
from sandbox.match.name_lookup import NameLookup
from sandbox.plan.name_table import NameEntry, NameTable
from tests.capture.running_sandbox import RunningSandbox, running_sandbox

ROOT = Path(__file__).parents[2]


def _kernel_allows() -> bool:
    """Tried in a child, since unshare cannot be undone."""
    pid = os.fork()
    if pid == 0:
        try:
            kernel_calls.unshare(kernel_calls.CLONE_NEWUSER | kernel_calls.CLONE_NEWNET | kernel_calls.CLONE_NEWNS)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


@pytest.fixture(scope="session", autouse=True)
def namespaces_allowed() -> None:
    """Skips where the kernel forbids namespaces."""
    if not _kernel_allows():
        pytest.skip("this kernel does not let us make network namespaces")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """``egress run``, one for all tests of a module."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox") / "run") as found:
        yield found


class TellingAdmission:
    """Answers every captured connection with the address it was meant for, and closes it."""

    def __init__(self, identity: WorkloadIdentity) -> None:
        self.identity = identity
        self.warnings: Sequence[str] = ()
        self.closed = asyncio.Event()
        table = NameTable(hosts={"api.example.com": NameEntry(addresses=("240.240.0.1",), registry="External")})
        self._lookup = NameLookup(table, namespace="default", domain="default.svc.cluster.local", search_domain=None)

    def take(self, sock: socket.socket, remote: tuple[str, int], destination: tuple[str, int]) -> None:
        sock.send(f"{destination[0]} {destination[1]}\n".encode())
        sock.close()

    def new_dns_server(self) -> DnsServer:
        return DnsServer(lambda: self._lookup, UpstreamResolvers([]), random.Random(1))

    async def close(self) -> None:
        self.closed.set()


class CaptureBench:
    """A control server at work, and the means to run commands through it."""

    def __init__(self, control: str) -> None:
        self.control = control
        self.admitted: list[TellingAdmission] = []

    def admit(self, identity: WorkloadIdentity) -> TellingAdmission:
        admission = TellingAdmission(identity)
        self.admitted.append(admission)
        return admission

    async def run(self, *command: str, options: Sequence[str] = (), user: int | None = None) -> tuple[int, str, str]:
        """Runs ``egress exec OPTIONS -- COMMAND``; exit code, standard output, standard error."""
        arguments = [sys.executable, "-m", "sandbox", "exec", "--control", self.control, *options, "--", *command]
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            user=user,
            group=user,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[], object]:
    """``async with bench() as b``: a served control socket in the test's own directory."""

    @asynccontextmanager
    async def start() -> AsyncIterator[CaptureBench]:
        directory = tmp_path / "run"
        directory.mkdir(mode=0o700)
        found = CaptureBench(str(directory / "control"))
        server = ControlServer(found.control, found.admit)
        server.start()
        try:
            yield found
        finally:
            await server.stop()

    return start
