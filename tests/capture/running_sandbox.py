"""``egress run`` as a process, for programs that ``egress exec`` brings into it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 30.0

MESH = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: mesh, namespace: istio-system}
spec:
  meshConfig:
    accessLogFile: /dev/stdout
    accessLogEncoding: JSON
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
---
apiVersion: v1
kind: Service
metadata: {name: frontend, namespace: default}
spec:
  clusterIP: 10.96.0.80
  selector: {app: frontend}
  ports: [{name: http, port: 80}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: private, namespace: payments}
spec:
  hosts: [api.example.com]
  exportTo: ["."]
  ports: [{number: 80, name: http, protocol: HTTP}]
  location: MESH_EXTERNAL
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: public, namespace: payments}
spec:
  hosts: [httpbin.org]
  ports: [{number: 80, name: http, protocol: HTTP}]
  location: MESH_EXTERNAL
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: closed, namespace: closed}
spec:
  egress: [{hosts: ["./*"]}]
---
apiVersion: v1
kind: Pod
metadata:
  name: inside-only
  namespace: shop
  annotations: {traffic.sidecar.istio.io/includeOutboundIPRanges: 10.0.0.0/24}
spec: {containers: [{name: app}]}
"""


@dataclass
class RunningSandbox:
    """A served control socket; ``ended`` has what was told once it has stopped."""

    process: subprocess.Popen[str]
    control: str
    log_file: Path
    user: int | None = None
    """Whose it is, and who brings programs in; nobody else where there is none."""
    told: str = ""

    def command(self, *command: str, options: Sequence[str] = ()) -> list[str]:
        """The arguments that bring ``command`` into this sandbox."""
        return [sys.executable, "-m", "sandbox", "exec", "--control", self.control, *options, "--", *command]

    def run(self, *command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Runs ``egress exec OPTIONS -- COMMAND`` to its end."""
        return subprocess.run(
            self.command(*command, options=options),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            **identity(self.user),
        )

    def status(self, url: str, *options: str) -> str:
        """What curl gets from inside, as workload ``options``; ``000`` where nothing came."""
        return self.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url, options=options).stdout

    def open_files(self) -> int:
        """Descriptors of the proxy; every namespace that it still serves holds some."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def log_lines(self) -> list[dict[str, Any]]:
        """The mesh's access log."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()] if self.log_file.exists() else []

    def stop(self) -> None:
        """Ends it; the log is complete, and ``told`` has its standard error."""
        if self.process.poll() is None:
            self.process.terminate()
            self.told += self.process.communicate(timeout=SECONDS)[1]


def identity(user: int | None) -> dict[str, Any]:
    """For ``subprocess``: as ``user``, without any group of ours."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


@contextmanager
def running_sandbox(
    directory: Path, *options: str, mesh: str = MESH, user: int | None = None
) -> Iterator[RunningSandbox]:
    """Starts ``egress run`` with ``mesh`` and the embedded internet, and waits until it serves."""
    directory.mkdir(mode=0o700, exist_ok=True)
    (directory / "mesh.yaml").write_text(mesh)
    if user is not None:
        os.chown(directory, user, user)
    environment = {**os.environ, "HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    control, log_file = directory / "control", directory / "access.log"
    arguments = [sys.executable, "-m", "sandbox", "run", "-f", str(directory / "mesh.yaml"), "--lab", "--no-proxy"]
    arguments += ["--workload", "shop/web"]
    arguments += ["--control", str(control), "--access-log", str(log_file), *options]
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment if user is not None else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **identity(user),
    )
    found = RunningSandbox(process, str(control), log_file, user)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            found.told += line
            if "ready" in line:
                break
        assert process.poll() is None, found.told
        yield found
    finally:
        found.stop()


def wait_until(condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Whether the condition came true in time; polled, for other processes and the kernel send no word."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
