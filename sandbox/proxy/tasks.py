"""spawn(): tasks that are named, referenced until done, and whose failure is reported."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger("sandbox.proxy")
T = TypeVar("T")
_live: set[asyncio.Task[Any]] = set()


def spawn(coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Starts a task; an exception that nobody awaits ends in the log of the process, never in silence."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _live.add(task)
    task.add_done_callback(_done)
    return task


def detach(coroutine: Coroutine[Any, Any, object], name: str) -> None:
    """The same for those who do not want to hear of it again."""
    _ = spawn(coroutine, name)


def _done(task: asyncio.Task[Any]) -> None:
    _live.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        log.error("task %s failed", task.get_name(), exc_info=error)
