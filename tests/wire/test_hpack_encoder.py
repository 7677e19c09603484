"""Header compression, with nghttp2's choices; the expected bytes were sent by Envoy 1.39.3."""

from __future__ import annotations

import hpack
import pytest

from sandbox.wire.hpack_encoder import HpackEncoder
from sandbox.wire.http_message import Header

ANSWER = [(b":status", b"502"), (b"date", b"Fri, 20 Nov 2026 17:45:01 GMT"), (b"server", b"envoy")]


def test_block_is_envoys_to_the_byte() -> None:
    encoder = HpackEncoder()
    encoder.set_peer_maximum(4096)

    block = encoder.encode([(b":status", b"200"), (b"x-a", b"1"), (b"content-length", b"2")])

    assert block == bytes.fromhex("3fe11f" + "88" + "4003782d610131" + "0f0d0132")


def test_size_of_the_table_is_told_once() -> None:
    encoder = HpackEncoder()
    encoder.set_peer_maximum(4096)
    encoder.encode(ANSWER)

    assert encoder.encode(ANSWER) == bytes([0x80 | 64, 0x80 | 63, 0x80 | 62])


def test_smaller_table_in_between_is_told_too() -> None:
    encoder = HpackEncoder()
    encoder.encode(ANSWER)
    encoder.set_peer_maximum(0)
    encoder.set_peer_maximum(100)

    assert encoder.encode([]) == b"\x20" + b"\x3f\x45"


@pytest.mark.parametrize(
    ("header", "first"),
    [
        pytest.param((b":path", b"/p"), 0x04, id="a path does not enter the table"),
        pytest.param((b"etag", b"x"), 0x0F, id="nor does an etag"),
        pytest.param((b"authorization", b"x"), 0x1F, id="a secret never does"),
        pytest.param((b"cookie", b"a=1"), 0x1F, id="nor a short cookie"),
        pytest.param((b"cookie", b"a=12345678901234567890"), 0x60, id="a long cookie does"),
        pytest.param((b"x", b"1" * 4000), 0x00, id="what would fill the table does not"),
    ],
)
def test_what_enters_the_table(header: Header, first: int) -> None:
    assert HpackEncoder().encode([header])[0] == first


def test_every_block_is_read_back() -> None:
    encoder, decoder = HpackEncoder(), hpack.Decoder(1 << 20)
    blocks = [
        [(b":status", b"200"), *((b"x-%d" % (n * i % 50), b"v" * (i % 70)) for n in range(20))] for i in range(60)
    ]

    for headers in blocks:
        assert [(bytes(n), bytes(v)) for n, v in decoder.decode(encoder.encode(headers), raw=True)] == headers


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="none"),
        pytest.param(bytes(range(32, 127)), id="every letter"),
        pytest.param(b"\xff" * 100, id="longer in Huffman's code"),
        pytest.param(b"a=b; " * 12_000, id="as long as a head may be"),
    ],
)
def test_every_value_is_read_back(value: bytes) -> None:
    block = HpackEncoder().encode([(b"x", value)])

    assert hpack.Decoder(1 << 20).decode(block, raw=True) == [(b"x", value)]
