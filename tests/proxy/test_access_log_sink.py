"""Log targets: batched, reopened, complete."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sandbox.errors import FileError
from sandbox.proxy.access_log_sink import FLUSH_BYTES, AccessLogSink

from .proxy_world import on_a_loop, run


@on_a_loop
async def test_lines_are_written_together_and_all_of_them_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    sink = AccessLogSink(str(file))
    write = sink.writer("/dev/stdout")
    for number in range(10):
        write(b"%d\n" % number)
    assert file.read_bytes() == b""
    sink.close()
    assert file.read_bytes() == b"".join(b"%d\n" % number for number in range(10))


@on_a_loop
async def test_much_is_written_at_once_and_little_soon(tmp_path: Path) -> None:
    sink = AccessLogSink()
    file = tmp_path / "access.log"
    write = sink.writer(str(file))
    write(b"x" * FLUSH_BYTES)
    assert file.stat().st_size == FLUSH_BYTES
    write(b"y")
    while file.stat().st_size == FLUSH_BYTES:
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    sink.close()


@on_a_loop
async def test_after_rotation_lines_go_to_the_new_file(tmp_path: Path) -> None:
    sink = AccessLogSink()
    file, old = tmp_path / "access.log", tmp_path / "access.log.1"
    write = sink.writer(str(file))
    write(b"before\n")
    sink.flush()
    file.rename(old)
    write(b"still before\n")
    sink.reopen()
    write(b"after\n")
    sink.close()
    assert old.read_bytes() == b"before\nstill before\n"
    assert file.read_bytes() == b"after\n"


def test_a_target_that_cannot_be_written_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        sink = AccessLogSink()
        write = sink.writer(str(tmp_path / "none" / "access.log"))
        for _ in range(3):
            write(b"lost\n")
            sink.flush()
        sink.close()

    run(test)
    assert len(caplog.records) == 1


@on_a_loop
async def test_two_logs_of_one_path_share_it(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    sink = AccessLogSink(str(file))
    sink.writer("/dev/stdout")(b"one\n")
    sink.writer(str(file))(b"two\n")
    sink.close()
    assert file.read_bytes() == b"one\ntwo\n"


def test_a_file_that_cannot_be_opened_is_an_error_from_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere/access\.log: no such file or directory"):
        AccessLogSink(str(tmp_path / "nowhere" / "access.log"))
