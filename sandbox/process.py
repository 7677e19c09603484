"""A sandbox as a process of its own: signals, and the launcher that waits for it."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from sandbox.reloading import start_reload

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.app import Sandbox


def run_until_stopped(sandbox: Sandbox, on_ready: Callable[[Sandbox], None]) -> None:
    """Serves until SIGTERM or SIGINT; SIGHUP reloads, SIGUSR1 reopens logs. Raises what ``Sandbox.start`` raises."""
    import uvloop  # imported here: other programs' tests bring a loop of their own

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sandbox, on_ready))


async def _serve(sandbox: Sandbox, on_ready: Callable[[Sandbox], None]) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, sandbox.unneeded.set)
    loop.add_signal_handler(signal.SIGINT, sandbox.unneeded.set)
    await sandbox.start()
    loop.add_signal_handler(signal.SIGHUP, start_reload, sandbox)
    loop.add_signal_handler(signal.SIGUSR1, sandbox.reopen_logs)
    on_ready(sandbox)
    if sandbox.settings.launcher_fd is not None:
        _tell_launcher(sandbox, sandbox.settings.launcher_fd)
    await sandbox.unneeded.wait()
    await sandbox.stop()


def _tell_launcher(sandbox: Sandbox, descriptor: int) -> None:
    """We are ready; when the launcher's end closes its program runs, or it has given up."""
    loop = asyncio.get_running_loop()
    os.write(descriptor, b"ready")

    def launcher_is_gone() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        if not sandbox.has_programs:
            sandbox.unneeded.set()

    loop.add_reader(descriptor, launcher_is_gone)
