"""``egress exec``: real programs in real namespaces."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import pytest

from tests.capture.conftest import CaptureBench

pytestmark = pytest.mark.namespaces
Bench = Callable[[], AbstractAsyncContextManager[CaptureBench]]
T = TypeVar("T")

ASK_WHERE = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as sock:
    print(sock.makefile().readline().strip())
"""


def scenario(bench: Bench, play: Callable[[CaptureBench], Awaitable[T]]) -> T:
    async def run() -> T:
        async with bench() as found:
            return await play(found)

    return asyncio.run(run())


def test_connection_reaches_the_sandbox_with_its_original_destination(bench: Bench) -> None:
    code, out, err = scenario(bench, lambda b: b.run(sys.executable, "-c", ASK_WHERE, "198.51.100.7", "443"))

    assert (code, out, err) == (0, "198.51.100.7 443\n", "")


def test_name_is_answered_from_the_name_table(bench: Bench) -> None:
    code, out, _ = scenario(bench, lambda b: b.run(sys.executable, "-c", ASK_WHERE, "api.example.com", "80"))

    assert (code, out) == (0, "240.240.0.1 80\n")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(("sh", "-c", "exit 42"), 42, id="the command's own status"),
        pytest.param(("sh", "-c", "kill -TERM $$"), -15, id="death by a signal"),
        pytest.param(("/etc",), 126, id="not executable"),
        pytest.param(("no-such-command-anywhere",), 127, id="not found"),
    ],
)
def test_the_exit_status_is_the_commands(bench: Bench, command: tuple[str, ...], code: int) -> None:
    assert scenario(bench, lambda b: b.run(*command))[0] == code


def test_own_loopback_servers_stay_local(bench: Bench) -> None:
    script = """
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: server.accept()[0].sendall(b"mine\\n")).start()
print(socket.create_connection(server.getsockname()).makefile().readline().strip())
"""

    assert scenario(bench, lambda b: b.run(sys.executable, "-c", script))[1] == "mine\n"


def test_udp_that_is_not_dns_is_refused_at_once(bench: Bench) -> None:
    script = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.connect(("198.51.100.7", 443))
sock.send(b"quic")
try:
    sock.recv(1)
except ConnectionRefusedError:
    print("refused")
"""

    assert scenario(bench, lambda b: b.run(sys.executable, "-c", script))[1] == "refused\n"


def test_capture_port_dialled_directly_is_reset(bench: Bench) -> None:
    script = """
import socket
try:
    print(socket.create_connection(("127.0.0.1", 15001), timeout=5).recv(10))
except ConnectionResetError:
    print("reset")
"""

    assert scenario(bench, lambda b: b.run(sys.executable, "-c", script))[1] == "reset\n"


def test_host_port_is_reached_under_the_same_number(bench: Bench) -> None:
    async def play(b: CaptureBench) -> str:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"the host\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = str(server.sockets[0].getsockname()[1])
        async with server:
            command = (sys.executable, "-c", ASK_WHERE, "127.0.0.1", port)
            return (await b.run(*command, options=["--host-ports", port]))[1]

    assert scenario(bench, play) == "the host\n"


def test_identity_is_told_to_the_sandbox(bench: Bench) -> None:
    async def play(b: CaptureBench) -> tuple[str | None, dict[str, str]]:
        await b.run("true", options=["--workload", "shop/web", "--labels", "app=web,version=v2"])
        identity = b.admitted[0].identity
        return identity.workload, dict(identity.labels)

    assert scenario(bench, play) == ("shop/web", {"app": "web", "version": "v2"})


def test_namespace_is_forgotten_when_its_last_process_ends(bench: Bench) -> None:
    async def play(b: CaptureBench) -> bool:
        await b.run("true")
        async with asyncio.timeout(10):
            return await b.admitted[0].closed.wait()

    assert scenario(bench, play)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to lose")
def test_root_cannot_change_the_rules(bench: Bench) -> None:
    code, out, err = scenario(bench, lambda b: b.run("grep", "CapEff", "/proc/self/status"))

    assert (code, err) == (0, "")
    effective = int(out.split()[1], 16)
    assert not effective >> 12 & 1
    assert effective >> 10 & 1  # NET_BIND_SERVICE: the rest is kept


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_under_sudo_the_command_runs_as_who_called_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SUDO_UID": "65534", "SUDO_GID": "65534", "SUDO_USER": "nobody"}.items():
        monkeypatch.setenv(name, value)
    script = f"id -u; id -G; grep CapEff /proc/self/status; {sys.executable} -c '{ASK_WHERE}' 198.51.100.7 443"

    code, out, err = scenario(bench, lambda b: b.run("sh", "-c", script))

    assert (code, err) == (0, "")
    assert out.split() == ["65534", "65534", "CapEff:", "0000000000000000", "198.51.100.7", "443"]


def test_captured_program_may_capture_others(bench: Bench) -> None:
    async def play(b: CaptureBench) -> tuple[int, str, str]:
        again = [sys.executable, "-m", "sandbox", "exec", "--control", b.control, "--"]
        return await b.run(*again, *again, sys.executable, "-c", ASK_WHERE, "198.51.100.7", "443")

    assert scenario(bench, play) == (0, "198.51.100.7 443\n", "")


def test_environment_and_directory_are_untouched(bench: Bench) -> None:
    code, out, _ = scenario(bench, lambda b: b.run("env", "-i", "A=b", "sh", "-c", "pwd; echo $A"))

    assert (code, out.splitlines()[1]) == (0, "b")


def test_without_a_running_sandbox_the_user_is_told_what_to_do(tmp_path: object) -> None:
    async def play() -> tuple[int, str, str]:
        return await CaptureBench(f"{tmp_path}/nobody").run("true")

    code, out, err = asyncio.run(play())

    assert (code, out) == (125, "")
    assert "no sandbox is running" in err
    assert "egress run -f DIR" in err
