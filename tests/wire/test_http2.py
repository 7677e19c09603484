"""The HTTP/2 codec: Envoy's opening, frames cut anywhere, windows, resets."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from sandbox.wire.http2 import NO_ERROR, PREFACE, Http2Codec, Http2Error, Http2Settings

REQUEST = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")]
SERVER_SETTINGS = bytes.fromhex("000018040000000000000100001000000800000000000300000400000401000000")


def new_client() -> h2.connection.H2Connection:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    return client


def test_server_opens_as_envoy_does() -> None:
    codec = Http2Codec(is_client=False)
    client = new_client()
    opening = codec.take_output()

    list(codec.receive(client.data_to_send()))

    assert opening == SERVER_SETTINGS
    acknowledgement = bytes.fromhex("000000040100000000")
    window = bytes.fromhex("000004080000000000017f0001")
    assert codec.take_output() == acknowledgement + window


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
    assert kinds == ["RemoteSettingsChanged", "RequestReceived", "DataReceived", "StreamEnded"]


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


def test_first_frame_that_is_no_settings_frame_is_told_why() -> None:
    codec = Http2Codec(is_client=False)
    codec.take_output()

    with pytest.raises(Http2Error):
        list(codec.receive(PREFACE + b"garbage garbage"))

    assert codec.take_output().endswith(b"SETTINGS expected")


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
        if isinstance(event, h2.events.WindowUpdated)
        for stream in codec.window_opened(event.stream_id or 0)
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

    assert [e.stream_id for e in events if isinstance(e, h2.events.RequestReceived)] == [3]
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
