"""What a mesh of 10,000 ServiceEntries and 2,000 VirtualServices costs: load, reload, and workloads beside each other.

``python -m bench.compiling DIRECTORY`` measures in a process of its own and prints JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ENTRIES, ROUTED, WORKLOADS = 10_000, 2_000, 100
ROWS: tuple[tuple[str, str, str, float], ...] = (
    ("load", f"load {ENTRIES:,} ServiceEntries and {ROUTED:,} VirtualServices, validation included", "s", 6.0),
    ("memory", "  resident memory afterwards", "MB", 400.0),
    ("reload_entry", "  reload after one changed ServiceEntry", "s", 1.0),
    ("reload_route", "  reload after one changed VirtualService", "s", 1.0),
    ("workloads", f"  compile for {WORKLOADS - 1} more workloads", "s", 0.5),
    ("workloads_memory", f"  memory for {WORKLOADS - 1} more workloads", "MB", 20.0),
)
"""Key, name, unit and target."""
_PORTS = ((80, "http", "HTTP"), (443, "tls", "TLS"), (9000, "tcp", "TCP"), (443, "https", "HTTPS"))
_RESOLUTIONS = ("DNS", "STATIC", "NONE", "DNS")
_ENTRY = """\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: entry-{number:05}, namespace: default}}
spec:
  hosts: [host-{number:05}.example.org]
  ports: [{{number: {port}, name: {name}, protocol: {protocol}}}]
  location: MESH_EXTERNAL
  resolution: {resolution}
{more}"""
_ROUTES = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: routes-{number:05}, namespace: default}}
spec:
  hosts: [host-{number:05}.example.org]
  http:
  - match: [{{uri: {{prefix: /api}}}}]
    timeout: 3s
    route: [{{destination: {{host: host-{number:05}.example.org}}}}]
  - fault: {{abort: {{httpStatus: 403, percentage: {{value: 100}}}}}}
    route: [{{destination: {{host: host-{number:05}.example.org}}}}]
"""
_POD = """\
---
apiVersion: v1
kind: Pod
metadata: {{name: app-{number}, namespace: default, labels: {{app: app-{number}}}}}
spec: {{serviceAccountName: app-{number}, containers: [{{name: app}}]}}
status: {{podIP: 10.244.0.{number}}}
"""
_MESH = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec: {meshConfig: {accessLogFile: /dev/stdout, outboundTrafficPolicy: {mode: REGISTRY_ONLY}}}
"""


def compile_rows(directory: Path) -> Iterator[tuple[str, ...]]:
    """Name, figure, target and whether it is met."""
    _write(directory)
    arguments = [sys.executable, "-m", "bench.compiling", str(directory)]
    told = json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    for key, name, unit, target in ROWS:
        yield name, f"{told[key]:.2f} {unit}", f"<= {target:g} {unit}", "yes" if told[key] <= target else "NO"


def _write(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "mesh.yaml").write_text(_MESH)
    (directory / "entries.yaml").write_text("".join(_entry(number) for number in range(ENTRIES)))
    (directory / "routes.yaml").write_text("".join(_ROUTES.format(number=number * 4) for number in range(ROUTED)))
    (directory / "pods.yaml").write_text("".join(_POD.format(number=number) for number in range(WORKLOADS)))


def _entry(number: int) -> str:
    """All kinds in turn; TCP has addresses, so that each has a listener of its own."""
    port, name, protocol = _PORTS[number % 4]
    resolution = _RESOLUTIONS[number // 4 % 4]
    more = ""
    if protocol == "TCP":
        resolution = "STATIC" if resolution == "NONE" else resolution
        more = f"  addresses: [10.{100 + number // 65536}.{number // 256 % 256}.{number % 256}]\n"
    if resolution == "STATIC":
        more += f"  endpoints: [{{address: 192.0.2.{number % 250 + 1}}}, {{address: 192.0.3.{number % 250 + 1}}}]\n"
    return _ENTRY.format(number=number, port=port, name=name, protocol=protocol, resolution=resolution, more=more)


def _resident_megabytes() -> float:
    fields = Path("/proc/self/status").read_text().split()
    return int(fields[fields.index("VmRSS:") + 1]) / 1000


def measure(directory: Path) -> dict[str, float]:
    """CPU seconds and megabytes, by the keys of ``ROWS``."""
    from sandbox.compiler import compile_node, find_proxy
    from sandbox.istio.load_cache import LoadCache
    from sandbox.loading import load
    from sandbox.settings import Settings

    settings, cache = Settings(files=(str(directory),), workload="default/app-0"), LoadCache()
    told: dict[str, float] = {}
    started = time.process_time()
    loaded = load(settings, cache=cache)
    told["load"] = time.process_time() - started
    told["memory"] = _resident_megabytes()
    started = time.process_time()
    proxies = [find_proxy(loaded.configuration, f"default/app-{number}") for number in range(1, WORKLOADS)]
    plans = [compile_node(loaded.push, proxy) for proxy in proxies if proxy is not None]
    told["workloads"] = time.process_time() - started
    told["workloads_memory"] = _resident_megabytes() - told["memory"]
    assert len(plans) == WORKLOADS - 1
    changes = (
        ("reload_entry", "entries.yaml", "192.0.2.6}", "192.0.2.7}"),
        ("reload_route", "routes.yaml", "3s", "4s"),
    )
    for key, file, old, new in changes:
        path = directory / file
        path.write_text(path.read_text().replace(old, new, 1))
        started = time.process_time()
        loaded = load(settings, cache=cache, previous=loaded)
        told[key] = time.process_time() - started
    return told


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
