"""What ``egress exec`` costs beside a running sandbox, and whether many of them leave anything behind."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sandbox
from bench.processes import Process

ROUNDS = 40
PARALLEL, SEQUENTIAL = 5, 200
SETTLE_SECONDS = 10.0
TARGET_MILLISECONDS = 25.0


MESH = Path(__file__).parents[1] / "configs" / "quickstart"


def exec_lines() -> Iterator[str]:
    """The lines to print; one that says why, where the kernel forbids it."""
    # As installers do; a checkout with PYTHONDONTWRITEBYTECODE would be compiled at every start.
    compileall.compile_dir(Path(sandbox.__file__).parent, quiet=2)
    with tempfile.TemporaryDirectory(prefix="egress-bench-") as directory:
        yield from _measured(Path(directory))


def _measured(directory: Path) -> Iterator[str]:
    control, told = directory / "execs" / "control", directory / "execs.err"
    arguments = [sys.executable, "-m", "sandbox", "run", "-f", str(MESH), "--no-proxy", "--control", str(control)]
    with told.open("wb") as errors, Process([*arguments, "--access-log", os.devnull], errors) as proxy:
        deadline = time.monotonic() + SETTLE_SECONDS
        while "ready" not in told.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        command = [*_console_script(), "exec", "--control", str(control), "--", "true"]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            yield f"egress exec -- true: not here: {tried.stderr.splitlines()[0]}"
            return
        (found, busy), (bare, bare_busy) = _milliseconds(command), _milliseconds([sys.executable, "-c", "pass"])
        verdict = "yes" if found <= TARGET_MILLISECONDS else "NO"
        yield (
            f"egress exec -- true: {found:.0f} ms, of it Python itself {bare:.0f} ms (<= 25 ms: {verdict}); "
            f"CPU {busy:.0f} and {bare_busy:.0f} ms"
        )
        yield _leftovers(command, proxy.child.pid)


def _console_script() -> list[str]:
    beside = Path(sys.executable).with_name("egress")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "sandbox"]


def _milliseconds(command: list[str]) -> tuple[float, float]:
    """The medians of wall time, and of processor time, which a busy machine does not lengthen."""
    walls, busy = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        _, status, used = os.wait4(os.posix_spawn(command[0], command, os.environ), 0)
        walls.append((time.perf_counter() - started) * 1000)
        busy.append((used.ru_utime + used.ru_stime) * 1000)
        assert status == 0, command
    return sorted(walls)[ROUNDS // 2], sorted(busy)[ROUNDS // 2]


def _leftovers(command: list[str], pid: int) -> str:
    """What is still open in the sandbox after many, some at a time; every namespace kept would hold eight."""
    before, namespaces = _open_files(pid), _network_namespaces()

    def several(_worker: int) -> int:
        return sum(subprocess.run(command, check=False).returncode for _ in range(SEQUENTIAL))

    started = time.perf_counter()
    with ThreadPoolExecutor(PARALLEL) as pool:
        failed = sum(pool.map(several, range(PARALLEL)))
    seconds = time.perf_counter() - started
    deadline = time.monotonic() + SETTLE_SECONDS
    while _open_files(pid) > before and time.monotonic() < deadline:
        time.sleep(0.1)
    while _network_namespaces() > namespaces and time.monotonic() < deadline:  # the kernel clears them away later
        time.sleep(0.1)
    left = max(_open_files(pid) - before, 0)
    return (
        f"{PARALLEL} x {SEQUENTIAL} execs: {PARALLEL * SEQUENTIAL / seconds:.0f} per second, {failed} failed, "
        f"{left} descriptors and {max(_network_namespaces() - namespaces, 0)} network namespaces left "
        "(counted by the kernel's allocator, in whole slabs of several: a leak would show as hundreds)"
    )


def _network_namespaces() -> int:
    """As the kernel's allocator counts them, also those that no process is in; 0 where only root may look."""
    try:
        lines = Path("/proc/slabinfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("net_namespace "))


def _open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
