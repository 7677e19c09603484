"""Poller: readiness of plain sockets by an epoll of our own, which the event loop watches as one descriptor.

uvloop gives a descriptor up after its first EPOLLERR, also when the callback found bytes to read before the error; here
an error is said again until somebody has taken it. Registering is also cheaper, and events come in batches.
"""

from __future__ import annotations

import asyncio
import logging
import select
import weakref
from collections.abc import Callable
from typing import Final, Protocol

log = logging.getLogger("sandbox.proxy")
Callback = Callable[[], None]
MAXIMUM_EVENTS: Final = 128


class Readiness(Protocol):
    """What the loop offers too (``add_reader`` and so on); descriptors are numbers."""

    def add_reader(self, fd: int, callback: Callback, /) -> None:
        """Calls ``callback`` whenever there is something to read, an end, or an error; replaces an earlier one."""

    def remove_reader(self, fd: int, /) -> bool:
        """No more; True if there was one."""

    def add_writer(self, fd: int, callback: Callback, /) -> None:
        """Calls ``callback`` whenever something can be written, or there is an error."""

    def remove_writer(self, fd: int, /) -> bool:
        """No more; True if there was one."""


class EpollPoller:
    """Level-triggered. A callback may be called once too often, and has to live with finding nothing."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}

    def fileno(self) -> int:
        """For the loop."""
        return self._epoll.fileno()

    def add_reader(self, fd: int, callback: Callback, /) -> None:
        if fd not in self._readers:
            if fd in self._writers:
                self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT)
            else:
                self._epoll.register(fd, select.EPOLLIN)
        self._readers[fd] = callback

    def remove_reader(self, fd: int, /) -> bool:
        if self._readers.pop(fd, None) is None:
            return False
        if fd in self._writers:
            self._epoll.modify(fd, select.EPOLLOUT)
        else:
            self._epoll.unregister(fd)
        return True

    def add_writer(self, fd: int, callback: Callback, /) -> None:
        if fd not in self._writers:
            if fd in self._readers:
                self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT)
            else:
                self._epoll.register(fd, select.EPOLLOUT)
        self._writers[fd] = callback

    def remove_writer(self, fd: int, /) -> bool:
        if self._writers.pop(fd, None) is None:
            return False
        if fd in self._readers:
            self._epoll.modify(fd, select.EPOLLIN)
        else:
            self._epoll.unregister(fd)
        return True

    def dispatch(self) -> None:
        """Calls whoever has something to do."""
        for fd, events in self._epoll.poll(0, MAXIMUM_EVENTS):
            if events & ~select.EPOLLOUT:
                self._call(self._readers.get(fd))
            if events & ~select.EPOLLIN:
                self._call(self._writers.get(fd))

    def _call(self, callback: Callback | None) -> None:
        if callback is None:
            return
        try:
            callback()
        except Exception:  # one connection's fault must not cost the others their event
            log.exception("a connection failed")


_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, EpollPoller] = weakref.WeakKeyDictionary()


def poller_of(loop: asyncio.AbstractEventLoop) -> Readiness:
    """The loop's poller; where there is no epoll, the loop itself."""
    poller = _pollers.get(loop)
    if poller is not None:
        return poller
    if not hasattr(select, "epoll"):
        return loop
    poller = _pollers[loop] = EpollPoller()
    loop.add_reader(poller.fileno(), poller.dispatch)
    return poller
