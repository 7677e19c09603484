"""Sandbox: load, compile, serve, reload; the one module that knows every layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.settings import HostPort, Settings

if TYPE_CHECKING:
    from sandbox.access_log.stream_info import StreamInfo
    from sandbox.istio.load import Configuration
    from sandbox.plan import NodePlan
    from sandbox.yaml_source.problems import Problems

Subscriber = Callable[["StreamInfo"], None]
"""Gets every ended stream that has a logger, filtered or not, after its line was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One load: the resources, the plan for our workload, and all findings."""

    configuration: Configuration
    plan: NodePlan
    problems: Problems


def load(settings: Settings) -> Loaded:
    """Reads the files, decodes, validates, compiles. Raises ``ConfigError`` when any problem is an error."""
    raise NotImplementedError


class Sandbox:
    """A proxy in this process.

    ``async with Sandbox(settings) as sandbox: ...`` serves until left; ``run()`` is the command line's way, with signals.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.loaded: Loaded | None = None

    def subscribe(self, subscriber: Subscriber) -> None:
        """From now on ``subscriber`` gets each ended stream."""
        raise NotImplementedError

    async def start(self) -> None:
        """Loads, binds, opens readiness last. Raises ``ConfigError``, ``ListenError``."""
        raise NotImplementedError

    @property
    def addresses(self) -> dict[str, HostPort]:
        """What is bound: ``capture``, ``proxy``, ``socks``, ``ready``, ``map 127.0.0.1:8080`` … to the real address (port 0 resolved)."""
        raise NotImplementedError

    async def reload(self) -> Problems:
        """Loads again and swaps; with errors the old snapshot stays. The findings are returned either way."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Drains (at most ``drain_seconds``) and closes everything; every log line is written."""
        raise NotImplementedError

    def run(self, on_ready: Callable[[Sandbox], None] | None = None) -> int:
        """Serves until SIGTERM or SIGINT; SIGHUP reloads, SIGUSR1 reopens logs. Returns the exit code."""
        raise NotImplementedError
