"""ClientHello: names and protocols, in pieces, in records, malformed."""

from __future__ import annotations

import ssl

import pytest

from sandbox.wire.client_hello import ClientHello, NotYet, read_client_hello


def hello(name: str | None, alpn: tuple[str, ...] = ()) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(list(alpn))
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def extension(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def handmade(extensions: bytes, version: bytes = b"\x03\x03") -> bytes:
    """A minimal ClientHello with these extensions, in one record."""
    body = version + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


def sni(name: bytes) -> bytes:
    entry = b"\x00" + len(name).to_bytes(2, "big") + name
    return extension(0, len(entry).to_bytes(2, "big") + entry)


def test_name_and_protocols_are_read() -> None:
    answer = read_client_hello(hello("API.Example.com", ("h2", "http/1.1")))
    assert answer == ClientHello("api.example.com", ("h2", "http/1.1"))


def test_a_hello_without_name_is_one() -> None:
    assert read_client_hello(hello(None)) == ClientHello()


def test_every_beginning_needs_more() -> None:
    data = hello("a.example")
    assert {read_client_hello(data[:size]) for size in range(len(data))} == {NotYet.NEED_MORE}


def test_a_hello_in_many_records_is_put_together() -> None:
    message = hello("split.example")[5:]
    records = b"".join(b"\x16\x03\x01\x00\x01" + message[i : i + 1] for i in range(len(message)))
    assert read_client_hello(records) == ClientHello("split.example")


def test_empty_records_are_passed_over() -> None:
    empty = b"\x16\x03\x01\x00\x00"
    assert read_client_hello(empty) is NotYet.NEED_MORE
    assert read_client_hello(empty * 32 + hello("split.example")) == ClientHello("split.example")


def test_unknown_extensions_are_passed_over() -> None:
    greased = extension(0x0A0A, b"") + sni(b"g.example") + extension(0x1A1A, b"\x00")
    assert read_client_hello(handmade(greased)) == ClientHello("g.example")


NOT_TLS = {
    "http": b"GET / HTTP/1.1\r\n",
    "binary": bytes(range(10)),
    "another record": b"\x15\x03\x03\x00\x02\x01\x00",
    "another message": b"\x16\x03\x03\x00\x04\x02\x00\x00\x00",
    "too many empty records": b"\x16\x03\x03\x00\x00" * 33,
    "too big": b"\x16\x03\x01\x00\x04\x01\x00\x4e\x20",
    "ssl 2 version": handmade(sni(b"a.example"), b"\x02\x00"),
    "empty name": handmade(sni(b"")),
    "name with nul": handmade(sni(b"a\x00b")),
    "twice the same extension": handmade(sni(b"a.example") * 2),
    "length beyond the end": handmade(b"\x00\x00\x00\xff"),
}


@pytest.mark.parametrize("data", NOT_TLS.values(), ids=NOT_TLS.keys())
def test_everything_else_is_not_tls(data: bytes) -> None:
    assert read_client_hello(data) is NotYet.NOT_TLS


def test_a_malformed_protocol_list_counts_as_none() -> None:
    data = handmade(sni(b"a.example") + extension(16, b"\x00\x05\x09http"))
    assert read_client_hello(data) == ClientHello("a.example")
