"""Every table of the examples' READMEs is true: each call is made, with real sockets."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.app import Sandbox
from sandbox.cli.certs import client_secret
from sandbox.cli.demo_client import request
from sandbox.pki import Authority
from sandbox.settings import HostPort, ResolveOverride, Settings, parse_static_map

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ROW = re.compile(r"^\| `(?P<call>[^`]+)` \|(?: `(?P<workload>[^`/]+/[^`]+)` \|)? (?P<answer>[^|]+) \|", re.MULTILINE)
OF_CAPTURE = ("CAPTURE", "NAME", "EXEC")
"""Calls that ``tests/capture/test_examples.py`` makes."""
SECRET = re.compile(r"egress certs --secret (\S+)")
BROKEN = ResolveOverride("broken.example.com", None, "127.0.0.1", None)


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    example: str
    call: str
    workload: str | None
    answer: str

    def __str__(self) -> str:
        who = f" from {self.workload}" if self.workload else ""
        return f"{self.example}: {self.call}{who}: {self.answer}"


def rows() -> Iterator[Row]:
    """All rows of all examples."""
    for readme in sorted(EXAMPLES.glob("*/README.md")):
        for found in ROW.finditer(readme.read_text(encoding="utf-8")):
            yield Row(readme.parent.name, found["call"], found["workload"], found["answer"].strip())


def files_of(example: str, certificates: Path) -> tuple[str, ...]:
    """The example's folder, and the Secret that its README makes."""
    readme = (EXAMPLES / example / "README.md").read_text(encoding="utf-8")
    secret = SECRET.search(readme)
    if secret is None:
        return (str(EXAMPLES / example),)
    file = certificates / f"{example}.yaml"
    file.write_text(client_secret(Authority(certificates), secret[1]))
    return (str(EXAMPLES / example), str(file))


@pytest.mark.parametrize("row", [row for row in rows() if row.call.split()[0] not in OF_CAPTURE], ids=str)
def test_the_call_comes_to_what_the_table_says(row: Row, certificates: Path) -> None:
    assert asyncio.run(answer_of(row, certificates)) in (row.answer, row.answer.strip("`"))


async def answer_of(row: Row, certificates: Path) -> str:
    """Makes the call with the example's configuration; the answer in the table's words."""
    if row.call.startswith("LOCAL "):
        return await seen_locally(row, certificates)
    times, kind, target, *words = row.call.split() if row.call[0].isdigit() else ("1", *row.call.split())
    settings = Settings(
        files=files_of(row.example, certificates),
        workload=row.workload,
        proxy=HostPort("127.0.0.1", 0),
        maps=(parse_static_map(f"127.0.0.1:0={target}"),) if kind != "GET" else (),
        resolve=(BROKEN,),
        lab=True,
        with_gateways=True,
        access_log="/dev/null",
        seed=1,
    )
    authority = certificates / "ca.crt"
    async with Sandbox(settings) as sandbox:
        if kind != "GET":
            door = next(address for name, address in sandbox.addresses.items() if name.startswith("map"))
            if kind == "TLS":
                return await title(door, words[0], authority)
            return await conversation(door, words, row.answer.strip("`"))
        if times != "1":
            return await share(row.answer, int(times), target, sandbox.addresses["proxy"], authority)
        reply = await asyncio.to_thread(request, target, sandbox.addresses["proxy"], authority)
    if reply.status <= 0:
        return "closed"
    waited = re.search(r"after ([\d.]+) s", row.answer)
    if waited and float(waited[1]) <= reply.seconds < float(waited[1]) + 0.5:
        return f"{reply.status} after {waited[1]} s"
    return str(reply.status)


async def share(answer: str, times: int, target: str, proxy: HostPort, authority: Path) -> str:
    """The answer of a row that says how many calls in a hundred end so, where that is within what chance allows."""
    found = re.fullmatch(r"`(.+)` for (\d+) %", answer)
    assert found is not None, answer
    replies = [await asyncio.to_thread(request, target, proxy, authority) for _ in range(times)]
    hits = sum(found[1] == str(reply.status) or f"<title>{found[1]}</title>" in reply.lines for reply in replies)
    wanted = int(found[2]) / 100
    if abs(hits - times * wanted) <= 4.5 * (times * wanted * (1 - wanted)) ** 0.5:
        return answer
    return f"`{found[1]}` for {100 * hits / times:.0f} %"


async def seen_locally(row: Row, certificates: Path) -> str:
    """What a server on this machine, as mock and as recorder, sees of the call."""
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if not seen.done():
            host = re.search(r"\r\nhost: (.+?)\r\n", head)
            seen.set_result(f"`{head.partition(' HTTP/')[0]}`, Host {host[1] if host else 'missing'}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    names = ("mock.example.com", "recorder.example.com")
    settings = Settings(
        files=files_of(row.example, certificates),
        proxy=HostPort("127.0.0.1", 0),
        resolve=tuple(ResolveOverride(name, None, "127.0.0.1", port) for name in names),
        lab=True,
        access_log="/dev/null",
    )
    async with server, Sandbox(settings) as sandbox:
        reply = await asyncio.to_thread(
            request, row.call.split()[1], sandbox.addresses["proxy"], certificates / "ca.crt"
        )
        assert reply.status == 200
        return await asyncio.wait_for(seen, 5)


async def title(door: HostPort, server_name: str, authority: Path) -> str:
    """The title of the page that ``server_name`` shows by TLS through a mapped port."""
    context = ssl.create_default_context(cafile=authority)
    reader, writer = await asyncio.open_connection(door.host, door.port, ssl=context, server_hostname=server_name)
    writer.write(f"GET / HTTP/1.1\r\nHost: {server_name}\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(5):
        page = (await reader.read()).decode()
    writer.close()
    return page.partition("<title>")[2].partition("</title>")[0]


async def conversation(door: HostPort, words: list[str], expected: str) -> str:
    """Sends a line (or listens) and gives ``expected`` where that was among the bytes that came."""
    reader, writer = await asyncio.open_connection(door.host, door.port)
    try:
        if words:
            writer.write(" ".join(words).encode() + (b"\r\n\r\n" if words[-1] == "HTTP/1.1" else b"\r\n"))
        async with asyncio.timeout(5):
            received = await reader.read(1000)
    finally:
        writer.close()
    if not received:
        return "closed"
    return expected if expected.encode() in received else repr(received)
