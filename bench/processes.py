"""Child processes, and what the kernel knows of them: CPU time and memory."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

READY_SECONDS = 60


class Process:
    """A child that is killed when the block ends."""

    def __init__(self, arguments: list[str], output: IO[bytes] | int = subprocess.DEVNULL) -> None:
        self.started = time.perf_counter()
        self.child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *ended: object) -> None:
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()

    def line(self) -> bytes:
        """The next line of its standard output."""
        assert self.child.stdout is not None
        return self.child.stdout.readline()

    def wait_for_port(self, port: int) -> float:
        """Seconds from start until something accepts on ``port``."""
        while time.perf_counter() - self.started < READY_SECONDS:
            if self.child.poll() is not None:
                raise RuntimeError(f"{self.child.args!r} ended with status {self.child.returncode}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return time.perf_counter() - self.started
            except OSError:
                time.sleep(0.002)
        raise RuntimeError(f"{self.child.args!r} is not ready after {READY_SECONDS} s")

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        tasks = Path(f"/proc/{self.child.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def resident_bytes(self) -> int:
        """Resident memory."""
        return int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]) * 4096


def load(kind: str, port: int, units: int, parallel: int, host: str) -> dict[str, float]:
    """Runs the load generator to its end."""
    arguments = [sys.executable, "-m", "bench.load", kind, str(port), str(units), str(parallel), host]
    ended = subprocess.run(arguments, capture_output=True, check=False, timeout=300)
    if ended.returncode:
        raise RuntimeError(ended.stderr.decode())
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def free_ports(count: int) -> list[int]:
    """Ports, no two the same, that nobody had a moment ago."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
