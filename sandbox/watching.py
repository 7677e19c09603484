"""FileWatch: notices that configuration files have changed, by looking at them twice a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from sandbox.loading.config_files import STANDARD_INPUT, SUFFIXES

INTERVAL_SECONDS: Final = 0.5

Stamp = tuple[tuple[str, int, int], ...]


class FileWatch:
    """Calls ``on_change`` once for every change, when two looks in a row have seen the same new state."""

    def __init__(self, paths: Iterable[str], on_change: Callable[[], None]) -> None:
        self._paths = [Path(path) for path in paths if path != STANDARD_INPUT]
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._known = self._pending = self._look()
        self._timer = self._loop.call_later(INTERVAL_SECONDS, self._tick)

    def close(self) -> None:
        """Looks no more."""
        self._timer.cancel()

    def _tick(self) -> None:
        seen = self._look()
        if seen == self._pending and seen != self._known:
            self._known = seen
            self._on_change()
        self._pending = seen
        self._timer = self._loop.call_later(INTERVAL_SECONDS, self._tick)

    def _look(self) -> Stamp:
        stamps: list[tuple[str, int, int]] = []
        for path in self._paths:
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.suffix in SUFFIXES or file in self._paths:
                    stamps += _stamp(file)
        return tuple(stamps)


def _stamp(file: Path) -> list[tuple[str, int, int]]:
    try:
        status = file.stat()
    except OSError:
        return []
    return [(str(file), status.st_mtime_ns, status.st_size)]
