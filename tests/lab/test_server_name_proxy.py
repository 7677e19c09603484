"""The proxy that goes where the server name says."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from sandbox.lab.server_name_proxy import ServerNameProxy, server_name_of
from sandbox.settings import HostPort


def hello(name: str | None) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        pytest.param(hello("de.wikipedia.org"), "de.wikipedia.org", id="a name"),
        pytest.param(hello("de.wikipedia.org") + b"more", "de.wikipedia.org", id="a name, and more"),
        pytest.param(hello("de.wikipedia.org")[:-1], "", id="not all of it"),
        pytest.param(hello(None), "", id="none"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "", id="no TLS"),
        pytest.param(b"", "", id="nothing"),
    ],
)
def test_the_server_name_of_a_hello(sent: bytes, name: str) -> None:
    assert server_name_of(sent) == name


def test_a_hello_in_pieces_reaches_its_host_whole_and_no_other_host_is_reached() -> None:
    async def test() -> tuple[bytes, bytes]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read())
            writer.close()

        site = await asyncio.start_server(echo, "127.0.0.1", 0)
        known = {("a.example.com", 443): HostPort(*site.sockets[0].getsockname()[:2])}
        proxy = await asyncio.start_server(
            ServerNameProxy(lambda name, port: known.get((name, port))).serve, "127.0.0.1", 0
        )
        async with site, proxy:
            return await through(proxy, hello("a.example.com")), await through(proxy, hello("b.example.com"))

    echoed, nothing = asyncio.run(test())
    assert echoed[:1] == b"\x16"
    assert server_name_of(echoed) == "a.example.com"
    assert nothing == b""


async def through(proxy: asyncio.Server, sent: bytes) -> bytes:
    """What comes back for bytes that are sent one by one."""
    reader, writer = await asyncio.open_connection(*proxy.sockets[0].getsockname()[:2])
    for at in range(len(sent)):
        writer.write(sent[at : at + 1])
        await writer.drain()
    writer.write_eof()
    back = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return back
