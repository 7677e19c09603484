"""Pipes for splice: their sizes within the user's allowance, and what becomes of them."""

from __future__ import annotations

import os

import pytest

from sandbox.proxy import pipe_pool
from sandbox.proxy.pipe_pool import LARGE_BYTES, LARGE_PIPES, SMALL_BYTES, PipePool


@pytest.fixture
def allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system gives what is asked for, whatever it has given to others."""
    monkeypatch.setattr(pipe_pool, "_enlarge", lambda _pipe, size: size)


@pytest.mark.usefixtures("allowance")
def test_the_first_pipes_are_large_and_later_ones_leave_other_programs_their_share() -> None:
    pool = PipePool()
    pipes = [pool.take() for _ in range(LARGE_PIPES + 2)]

    sizes = [pipe.size for pipe in pipes if pipe is not None]

    assert sizes == [LARGE_BYTES] * LARGE_PIPES + [SMALL_BYTES] * 2
    for pipe in pipes:
        assert pipe is not None
        pool.give_back(pipe, is_empty=False)


def test_an_empty_pipe_is_used_again() -> None:
    pool = PipePool()
    first = pool.take()
    assert first is not None

    pool.give_back(first, is_empty=True)

    assert pool.take() == first
    pool.give_back(first, is_empty=False)


@pytest.mark.usefixtures("allowance")
def test_a_pipe_with_bytes_in_it_is_closed_and_makes_room_for_another_large_one() -> None:
    pool = PipePool()
    pipes = [pool.take() for _ in range(LARGE_PIPES)]
    used = pipes.pop()
    assert used is not None
    os.write(used.writing, b"x")

    pool.give_back(used, is_empty=False)
    fresh = pool.take()

    assert fresh is not None
    assert fresh.size == LARGE_BYTES
    with pytest.raises(BlockingIOError):
        os.read(fresh.reading, 1)
    for pipe in [*pipes, fresh]:
        assert pipe is not None
        pool.give_back(pipe, is_empty=True)
    pool.close()


@pytest.mark.parametrize(
    ("left", "is_worth_it"),
    [
        pytest.param(65_536, True, id="the system's default will do"),
        pytest.param(8192, False, id="what remains beyond the allowance is too little"),
    ],
)
def test_without_an_allowance_a_pipe_is_used_only_if_it_is_worth_it(
    monkeypatch: pytest.MonkeyPatch, left: int, is_worth_it: bool
) -> None:
    monkeypatch.setattr(pipe_pool, "_enlarge", lambda _pipe, _size: left)
    pool = PipePool()

    pipe = pool.take()

    assert (pipe is not None) is is_worth_it
    if pipe is not None:
        pool.give_back(pipe, is_empty=False)
