"""The HTTP/2 codec: Envoy's opening, frames cut anywhere, windows, resets."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from sandbox.wire.http2 import Http2Codec
from sandbox.wire.http2_events import CALLBACK_FAILED, HeadReceived, Http2Error, StreamReset, WindowOpened
from sandbox.wire.http2_frames import NO_ERROR, PREFACE, frame
from sandbox.wire.http2_session import Http2Settings

REQUEST = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")]
SERVER_SETTINGS = bytes.fromhex("000018040000000000000100001000000800000000000300000400000401000000")


def new_client() -> h2.connection.H2Connection:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    return client


def test_server_opens_as_envoy_does() -> None:
    codec = Http2Codec(is_client=False)
    client = new_client()

    list(codec.receive(client.data_to_send()))

    acknowledgement = bytes.fromhex("000000040100000000")
    window = bytes.fromhex("000004080000000000017f0001")
    assert codec.take_output() == SERVER_SETTINGS + acknowledgement + window


def test_client_opens_as_envoy_does() -> None:
    output = Http2Codec(is_client=True).take_output()

    assert output.startswith(PREFACE + bytes.fromhex("00001e040000000000000200000000000100001000"))
    assert output.endswith(bytes.fromhex("000004080000000000017f0001"))


def test_own_settings_are_announced() -> None:
    codec = Http2Codec(is_client=False, settings=Http2Settings(7, 70_000, 65_535))
    client = new_client()

    client.receive_data(codec.take_output())

    assert client.remote_settings.max_concurrent_streams == 7
    assert client.remote_settings.initial_window_size == 70_000


@pytest.mark.parametrize("size", [1, 2, 5, 9, 17, 1000])
def test_frames_may_be_cut_anywhere(size: int) -> None:
    client = new_client()
    client.send_headers(1, REQUEST)
    client.send_data(1, b"hello", end_stream=True)
    data = client.data_to_send()
    codec = Http2Codec(is_client=False)

    events = [event for at in range(0, len(data), size) for event in codec.receive(data[at : at + size])]

    kinds = [type(event).__name__ for event in events]
    assert kinds == ["StreamBegun", "HeadReceived", "DataReceived"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="HTTP/1"),
        pytest.param(PREFACE[:-1] + b"x", id="a broken preface"),
        pytest.param(PREFACE + b"garbage garbage", id="garbage after the preface"),
        pytest.param(
            PREFACE + SERVER_SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", id="a frame that is too large"
        ),
        pytest.param(PREFACE + SERVER_SETTINGS + b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\xff", id="broken HPACK"),
        pytest.param(PREFACE + SERVER_SETTINGS + b"\x00\x00\x00\x00\x00\x00\x00\x00\x00", id="DATA on stream 0"),
    ],
)
def test_broken_framing_is_an_error(data: bytes) -> None:
    codec = Http2Codec(is_client=False)

    with pytest.raises(Http2Error):
        list(codec.receive(data))


GET = bytes.fromhex("8286844103612e62")
LONG_BLOCK = GET + b"\x00\x01a\x7f\x82\xff\x03" + b"x" * 65537
LONG = (
    frame(1, 1, 1, LONG_BLOCK[:16384])
    + b"".join(frame(9, 0, 1, LONG_BLOCK[at : at + 16384]) for at in range(16384, 65536, 16384))
    + frame(9, 4, 1, LONG_BLOCK[65536:])
)
"""A field of 65,537 bytes."""
OPEN = frame(1, 4, 1, GET)
"""A request whose payload follows."""


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        pytest.param(frame(0, 0, 1, b"x"), 1, b"DATA: stream in idle", id="payload without a head"),
        pytest.param(frame(1, 5, 1, GET) + frame(0, 0, 1, b"x"), 5, b"DATA: stream in half-closed(remote)", id="late"),
        pytest.param(frame(6, 0, 0, b"abc"), 6, b"", id="a short PING"),
        pytest.param(frame(4, 1, 0, b"abcdef"), 6, b"", id="an acknowledgement with settings"),
        pytest.param(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", 6, b"too large frame size", id="too large"),
        pytest.param(frame(1, 5, 1, b"\xc8"), 9, b"", id="broken compression"),
        pytest.param(frame(9, 4, 1, GET), 1, b"CONTINUATION: unexpected", id="a stray CONTINUATION"),
        pytest.param(LONG, 9, b"", id="a value that is too long for compression"),
        pytest.param(
            frame(1, 1, 1, GET) + frame(6, 0, 0, b"abcdefgh"),
            1,
            b"unexpected non-CONTINUATION frame or stream_id is invalid",
            id="no CONTINUATION",
        ),
        pytest.param(frame(1, 13, 1, b"\xff" + GET), 1, b"HEADERS: invalid padding", id="padding beyond the frame"),
    ],
)
def test_breach_that_is_told(data: bytes, code: int, reason: bytes) -> None:
    codec = Http2Codec(is_client=False)

    with pytest.raises(Http2Error) as error:
        list(codec.receive(PREFACE + frame(4, 0, 0) + data))

    assert error.value.details == CALLBACK_FAILED
    output = codec.take_output()
    assert output.startswith(SERVER_SETTINGS)
    assert output.endswith(code.to_bytes(4, "big") + reason)


def test_first_frame_that_is_no_settings_frame_is_told_why() -> None:
    codec = Http2Codec(is_client=False)

    with pytest.raises(Http2Error):
        list(codec.receive(PREFACE + b"garbage garbage"))

    assert codec.take_output().endswith(b"SETTINGS expected")


@pytest.mark.parametrize(
    ("data", "stream", "details"),
    [
        pytest.param(frame(1, 5, 2, GET), 0, None, id="a stream of ours"),
        pytest.param(frame(3, 0, 1, b"\0\0\0\x08"), 0, None, id="the end of a stream that never began"),
        pytest.param(frame(8, 0, 0, b"\0\0\0\0"), 0, None, id="no more room"),
        pytest.param(
            OPEN + frame(8, 0, 1, b"\0\0\0\0"), 1, "http2.unknown.nghttp2.error", id="no more room in a stream"
        ),
        pytest.param(frame(4, 0, 0, b"\0\x02\0\0\0\x02"), 0, None, id="a setting out of range"),
        pytest.param(frame(6, 0, 1, b"abcdefgh"), 0, None, id="PING in a stream"),
        pytest.param(frame(5, 4, 1, b"\0\0\0\x02"), 0, None, id="a push"),
        pytest.param(frame(1, 5, 1, GET + b"\x00\x01X\x011"), 1, "http2.invalid.header.field", id="a malformed head"),
        pytest.param(OPEN + frame(1, 4, 1, b""), 1, "http2.violation.of.messaging.rule", id="trailers and more"),
        pytest.param(OPEN + frame(0, 0, 1) * 2, 1, "http2.inbound_empty_frames_flood", id="empty frames"),
    ],
)
def test_breach_after_which_nothing_is_said(data: bytes, stream: int, details: str | None) -> None:
    codec = Http2Codec(is_client=False)

    with pytest.raises(Http2Error) as error:
        list(codec.receive(PREFACE + frame(4, 0, 0) + data))

    assert (error.value.stream_id, error.value.stream_details) == (stream, details)
    assert codec.take_output() == b""


def test_nothing_is_said_to_who_does_not_begin_with_the_preface() -> None:
    codec = Http2Codec(is_client=False)

    with pytest.raises(Http2Error, match="Received_bad_client_magic_byte_string"):
        list(codec.receive(b"GET / HTTP/1.1\r\n\r\n"))

    assert codec.take_output() == b""


def test_wrong_length_of_payload_ends_only_the_stream() -> None:
    codec = Http2Codec(is_client=False)
    list(codec.receive(PREFACE + frame(4, 0, 0) + frame(1, 4, 1, GET + b"\x5c\x012")))
    codec.take_output()
    events = list(codec.receive(frame(0, 1, 1, b"hello")))

    assert events == [StreamReset(1, 1)]
    assert codec.take_output() == frame(3, 0, 1, b"\0\0\0\x01")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(frame(2, 0, 1, b"\0\0\0\0\x10") * 101, "Too_many_PRIORITY_frames", id="PRIORITY"),
        pytest.param(frame(8, 0, 0, b"\0\0\0\x01") * 6, "Too_many_WINDOW_UPDATE_frames", id="WINDOW_UPDATE"),
        pytest.param(frame(6, 0, 0, b"abcdefgh") * 1001, "Too_many_control_frames_in_the_outbound_queue.", id="PING"),
    ],
)
def test_floods_end_the_connection(data: bytes, words: str) -> None:
    codec = Http2Codec(is_client=False)

    with pytest.raises(Http2Error) as error:
        list(codec.receive(PREFACE + frame(4, 0, 0) + data))

    assert error.value.details == f"codec_error:{words}"


PING = frame(6, 0, 0, b"abcdefgh")


def test_answers_that_are_not_taken_off_by_the_peer_add_up() -> None:
    codec = Http2Codec(is_client=False)
    list(codec.receive(PREFACE + frame(4, 0, 0) + PING * 600))
    codec.take_output(is_blocked=True)

    with pytest.raises(Http2Error) as error:
        list(codec.receive(PING * 600))

    assert error.value.details == "codec_error:Too_many_control_frames_in_the_outbound_queue."


def test_answers_that_the_peer_reads_do_not_add_up() -> None:
    codec = Http2Codec(is_client=False)
    list(codec.receive(PREFACE + frame(4, 0, 0) + PING * 600))
    codec.take_output()

    assert list(codec.receive(PING * 600)) == []


def answer(codec: Http2Codec, stream_id: int) -> None:
    """Takes a request and answers it, while the peer reads nothing."""
    for event in codec.receive(frame(1, 5, stream_id, GET)):
        if isinstance(event, HeadReceived):
            codec.send_headers(event.stream_id, [(b":status", b"404")], is_end=True)
    codec.take_output(is_blocked=True)


def test_responses_that_the_peer_does_not_read_come_to_an_end() -> None:
    codec = Http2Codec(is_client=False)
    list(codec.receive(PREFACE + frame(4, 0, 0)))
    for number in range(9_999):  # 10,000 frames, with the acknowledgement of the settings
        answer(codec, 2 * number + 1)

    with pytest.raises(Http2Error) as error:
        answer(codec, 19_999)

    assert error.value.details == "codec_error:Too_many_frames_in_the_outbound_queue."


def test_payload_waits_for_the_peers_window() -> None:
    client = new_client()
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
    client.send_headers(1, REQUEST, end_stream=True)
    codec = Http2Codec(is_client=False)
    list(codec.receive(client.data_to_send()))
    client.receive_data(codec.take_output())
    codec.send_headers(1, [(b":status", b"200")], is_end=False)
    codec.send_data(1, b"0123456789abcdef", is_end=True)

    assert codec.waiting_bytes(1) == 6
    first = [e.data for e in client.receive_data(codec.take_output()) if isinstance(e, h2.events.DataReceived)]
    client.increment_flow_control_window(100, 1)
    opened = [
        stream
        for event in codec.receive(client.data_to_send())
        if isinstance(event, WindowOpened)
        for stream in codec.window_opened(event.stream_id)
    ]
    second = client.receive_data(codec.take_output())

    assert first == [b"0123456789"]
    assert opened == [1]
    assert [e.data for e in second if isinstance(e, h2.events.DataReceived)] == [b"abcdef"]
    assert any(isinstance(e, h2.events.StreamEnded) for e in second)


def test_what_follows_a_reset_is_passed_over_and_the_connection_lives() -> None:
    client = new_client()
    client.send_headers(1, REQUEST)
    codec = Http2Codec(is_client=False)
    list(codec.receive(client.data_to_send()))
    codec.reset(1, NO_ERROR)
    codec.take_output()
    client.send_data(1, b"late")
    client.send_headers(1, [("x-trailer", "1")], end_stream=True)
    client.send_headers(3, REQUEST, end_stream=True)

    events = list(codec.receive(client.data_to_send()))

    assert [e.stream_id for e in events if isinstance(e, HeadReceived)] == [3]
    assert codec.take_output() == b""


def test_going_away_is_told_twice() -> None:
    codec = Http2Codec(is_client=False)
    client = new_client()
    client.send_headers(1, REQUEST, end_stream=True)
    list(codec.receive(client.data_to_send()))
    codec.take_output()

    codec.go_away_soon()
    soon = codec.take_output()
    codec.go_away()

    assert soon == bytes.fromhex("0000080700000000007fffffff00000000")
    assert codec.take_output() == bytes.fromhex("0000080700000000000000000100000000")


def test_frame_that_comes_in_pieces_counts_once() -> None:
    codec = Http2Codec(is_client=False)
    list(codec.receive(PREFACE + frame(4, 0, 0)))

    for byte in frame(2, 0, 1, b"\0\0\0\0\x10") * 100:
        list(codec.receive(bytes([byte])))

    with pytest.raises(Http2Error):
        list(codec.receive(frame(2, 0, 1, b"\0\0\0\0\x10")))


def test_a_block_in_several_frames_counts_as_if_it_were_one() -> None:
    codec = Http2Codec(is_client=True)
    stream = codec.open_stream(b"GET")
    codec.take_output()

    codec.send_headers(stream.stream_id, [(b":method", b"GET"), (b"a", b"\xff" * 40_000)], is_end=True)

    further_heads = 40_000 // 16_384 * 9
    assert stream.header_bytes_sent == stream.wire_bytes_sent == len(codec.take_output()) - further_heads
