"""The same for IPv4 and IPv6: original destinations, DNS by every way, UDP, loopback, the host."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from sandbox.capture.namespace import has_ipv6
from tests.capture.conftest import CaptureBench
from tests.capture.running_sandbox import ROOT

pytestmark = pytest.mark.namespaces
Bench = Callable[[], AbstractAsyncContextManager[CaptureBench]]
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no way out by IPv6, so programs get none")
VERSIONS = [pytest.param(4, id="IPv4"), pytest.param(6, id="IPv6", marks=needs_ipv6)]

# Tells by JSON what happens to calls of one IP version; each is a list of address, port and kind.
DIAL = """
import json, socket, sys

def told(host, port, kind):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, getattr(socket, "SOCK_" + kind)) as sock:
        sock.settimeout(5)
        try:
            sock.connect((host, port))
            if kind == "DGRAM":
                sock.send(b"x")
            return sock.recv(100).decode()
        except OSError as error:
            return type(error).__name__

print(json.dumps([told(*each) for each in json.loads(sys.argv[1])]))
"""
QUERY = """
import dns.message, dns.query, socket, sys
query = dns.message.make_query("api.example.com", "A")
where = sys.argv[1]
with socket.socket(socket.AF_INET6 if ":" in where else socket.AF_INET, socket.SOCK_DGRAM) as connected:
    connected.connect((where, 53))
    connected.settimeout(5)
    connected.send(query.to_wire())
    replies = [dns.message.from_wire(connected.recv(512))]
# Not connected: dnspython accepts no reply from another address than the one it has asked.
replies.append(dns.query.udp(query, where, timeout=5))
replies.append(dns.query.tcp(query, where, timeout=5))
print(*(str(reply.answer[0][0]) for reply in replies))
"""


def run(bench: Bench, *command: str, options: tuple[str, ...] = ()) -> str:
    """What a Python script prints inside."""

    async def play() -> str:
        async with bench() as found:
            code, out, err = await found.run(sys.executable, "-c", *command, options=options)
            assert code == 0, err
            return out.strip()

    return asyncio.run(play())


def dial(bench: Bench, *calls: tuple[str, int, str], options: tuple[str, ...] = ()) -> list[str]:
    found: list[str] = json.loads(run(bench, DIAL, json.dumps(calls), options=options))
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_connection_arrives_with_its_original_destination(bench: Bench, version: int) -> None:
    far, low, loopback = {4: ("198.51.100.7", "0.0.0.1", "127.0.0.1"), 6: ("2001:db8::7", "2001::1", "::1")}[version]

    told = dial(bench, (far, 443, "STREAM"), (low, 1, "STREAM"), (loopback, 4242, "STREAM"))

    assert told == [f"{far} 443\n", f"{low} 1\n", "ConnectionRefusedError"]


@pytest.mark.parametrize("version", VERSIONS)
def test_udp_other_than_dns_is_refused_at_once(bench: Bench, version: int) -> None:
    far = {4: "198.51.100.7", 6: "2001:db8::7"}[version]

    assert dial(bench, (far, 443, "DGRAM"), (far, 123, "DGRAM")) == ["ConnectionRefusedError"] * 2


@pytest.mark.parametrize(
    "server",
    [
        "8.8.8.8",
        "127.0.0.53",
        "10.213.0.2",
        pytest.param("2001:db8::53", marks=needs_ipv6),
        pytest.param("::1", marks=needs_ipv6),
    ],
)
def test_question_to_any_server_is_answered_by_the_sandbox(bench: Bench, server: str) -> None:
    assert run(bench, QUERY, server) == "240.240.0.1 240.240.0.1 240.240.0.1"


@pytest.mark.parametrize("version", VERSIONS)
def test_host_is_reached_where_it_is_named(bench: Bench, version: int) -> None:
    """By a port of the host's loopback, and by the host's address inside."""
    loopback, host = {4: ("127.0.0.1", "10.213.0.1"), 6: ("::1", "fd00:5a4d::1")}[version]
    family = socket.AF_INET6 if version == 6 else socket.AF_INET

    async def play() -> list[str]:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"the host")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, loopback, 0, family=family)
        port = server.sockets[0].getsockname()[1]
        calls = [(loopback, port, "STREAM"), (host, port, "STREAM")]
        async with server, bench() as found:
            command = (sys.executable, "-c", DIAL, json.dumps(calls))
            named = await found.run(*command, options=["--host-ports", str(port)])
            return [*json.loads(named[1]), *json.loads((await found.run(*command))[1])]

    assert asyncio.run(play()) == ["the host", "the host", "ConnectionRefusedError", "the host"]


def test_program_sees_an_ordinary_interface(bench: Bench) -> None:
    script = "import socket; print(sorted(name for _, name in socket.if_nameindex()))"

    assert run(bench, script) == "['eth0', 'eth0p', 'lo']"


@pytest.mark.skipif(os.geteuid() != 0, reason="nft lists rules for root only")
@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not here")
def test_rules_of_both_versions_are_twins() -> None:
    script = """
import subprocess
from sandbox.capture import kernel_calls, namespace
from sandbox.capture.exec_rules import exec_rules
kernel_calls.unshare(kernel_calls.CLONE_NEWNET)
namespace.build_network(ipv6=True)
exec_rules((5432,), ipv6=True).apply()
for family in ("ip", "ip6"):
    subprocess.run(["nft", "list", "table", family, "sandbox"], check=True)
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    four, _, six = ended.stdout.partition("table ip6 ")
    as_six = four.replace("127.0.0.0/8", "::1").replace("10.213.0.", "fd00:5a4d::").replace("ip daddr", "ip6 daddr")
    expected = as_six.removeprefix("table ip ").replace("with icmp ", "with icmpv6 ").splitlines()
    found = [line for line in six.splitlines() if "ipv6-icmp" not in line and "icmpv6 accept" not in line]
    assert [line.split() for line in found] == [line.split() for line in expected]
    assert "redirect to :15001" in four
