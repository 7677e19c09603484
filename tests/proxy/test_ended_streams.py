"""Ended streams: which ones wait for others before they are counted and logged, and for how long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sandbox.access_log.stream_info import StreamInfo
from sandbox.proxy.access_log_sink import AccessLogSink
from sandbox.proxy.ended_streams import MOST_WAITING, EndedStreams
from sandbox.proxy.snapshot import StreamLogger, Subscriber

from .proxy_world import on_a_loop


def stream(number: int, protocol: str | None = "HTTP/1.1") -> StreamInfo:
    info = StreamInfo(0.0, 0.0)
    info.connection_id, info.protocol, info.is_http = number, protocol, protocol is not None
    return info


class Told:
    """A logger whose lines are numbers."""

    def __init__(self, ended: EndedStreams, *subscribers: Subscriber) -> None:
        self.numbers: list[int] = []
        log = (lambda info: b"%d\n" % info.connection_id, lambda line: self.numbers.append(int(line)))
        self.logger = StreamLogger([log], subscribers, ended)


@on_a_loop
async def test_streams_wait_for_others_but_not_for_too_many() -> None:
    told = Told(EndedStreams())
    for number in range(MOST_WAITING - 1):
        told.logger.log(stream(number))
    assert told.numbers == []
    told.logger.log(stream(MOST_WAITING - 1))
    assert told.numbers == list(range(MOST_WAITING))


@on_a_loop
async def test_a_stream_alone_does_not_wait_for_long() -> None:
    written = asyncio.Event()
    logger = StreamLogger([(lambda _info: b"line\n", lambda _line: written.set())], (), EndedStreams())
    for _ in range(2):  # and so does the next one
        logger.log(stream(1))
        assert not written.is_set()
        async with asyncio.timeout(5):
            await written.wait()
        written.clear()


@on_a_loop
async def test_what_may_still_change_does_not_wait_and_the_order_is_kept() -> None:
    told = Told(EndedStreams())
    told.logger.log(stream(1))
    told.logger.log(stream(2, "HTTP/2"))
    assert told.numbers == [1, 2]
    told.logger.log(stream(3))
    told.logger.log(stream(4, None))
    assert told.numbers == [1, 2, 3, 4]


@on_a_loop
async def test_who_is_told_of_each_stream_is_told_at_once() -> None:
    seen: list[int] = []
    told = Told(EndedStreams(), lambda info: seen.append(info.connection_id))
    told.logger.log(stream(1))
    assert (told.numbers, seen) == ([1], [1])


@on_a_loop
async def test_lines_of_streams_that_wait_are_in_the_file_before_it_is_closed_or_moved(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    sink = AccessLogSink(str(file))
    logger = StreamLogger([(lambda info: b"%d\n" % info.connection_id, sink.writer("/dev/stdout"))], (), sink.ended)
    expected = b""
    for number, write in enumerate((sink.flush, sink.reopen, sink.close)):
        logger.log(stream(number))
        write()
        expected += b"%d\n" % number
        assert file.read_bytes() == expected


@on_a_loop
async def test_a_stream_that_cannot_be_told_costs_no_other_its_line(caplog: pytest.LogCaptureFixture) -> None:
    ended = EndedStreams()
    broken = StreamLogger([(lambda info: b"%d" % (1 // info.connection_id), lambda _line: None)], (), ended)
    told = Told(ended)
    broken.log(stream(0))
    told.logger.log(stream(2))
    ended.tell()
    assert told.numbers == [2]
    assert "could not be counted and logged" in caplog.text
