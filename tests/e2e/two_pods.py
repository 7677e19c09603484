"""Run by itself, in a user and a network namespace of its own: sidecar and gateway as two pods, told as JSON.

This namespace is the application's pod; a second one is the gateway's, with the embedded internet. Between them there
is a cable, and nothing else. Arguments: a directory for files, and the configurations.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

APPLICATION, GATEWAY = "10.244.0.10", "10.244.0.20"
EGRESS = [sys.executable, "-m", "sandbox", "run", "--no-control"]
PROXY = "127.0.0.1:15080"
NAME = "httpbin.org=198.51.100.7"
"""Nobody answers DNS here; only rules lead anywhere from this address."""
START_SECONDS = 30.0


def main() -> None:
    directory, *files = sys.argv[1:]
    with pod_of_the_gateway() as gateway_pod:
        inside = ["nsenter", "--net", f"--target={gateway_pod}"]
        command = [*EGRESS, "--node", "gateway", "--pod-ip", GATEWAY, "--allow-remote", "--lab", *_files(files)]
        told: dict[str, object] = {}
        with node([*inside, *command], directory, "gateway"):
            for workload in ("default/sleep", "default/stranger"):
                name = workload.rpartition("/")[2]
                at = f"istio-egressgateway.istio-system={GATEWAY}"
                options = [
                    "--node",
                    "sidecar",
                    "--workload",
                    workload,
                    "--endpoint",
                    at,
                    "--resolve",
                    NAME,
                    *_files(files),
                ]
                with node([*EGRESS, *options], directory, name):
                    told[name] = [ask(path) for path in ("/headers", "/admin")]
    print(json.dumps(told))


@contextlib.contextmanager
def pod_of_the_gateway() -> Iterator[int]:
    """The process that holds the second namespace."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    try:
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{holder.pid}/ns/net") == own:
            time.sleep(0.01)
        ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        for address, prefix in ((APPLICATION, []), (GATEWAY, ["nsenter", "--net", f"--target={holder.pid}"])):
            ip("link", "set", "lo", "up", prefix=prefix)
            ip("address", "add", f"{address}/24", "dev", "eth0", prefix=prefix)
            ip("link", "set", "eth0", "up", prefix=prefix)
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


def ip(*arguments: str, prefix: Sequence[str] = ()) -> None:
    subprocess.run([*prefix, "ip", *arguments], check=True)


@contextlib.contextmanager
def node(command: Sequence[str], directory: str, name: str) -> Iterator[None]:
    """One proxy, from ready to ended; its certificate is given where the directory has one."""
    given = {
        variable: str(file)
        for variable, file in (
            ("EGRESS_WORKLOAD_CERT", Path(directory, f"{name}.crt")),
            ("EGRESS_WORKLOAD_KEY", Path(directory, f"{name}.key")),
        )
        if file.exists()
    }
    log = str(Path(directory, f"{name}.log"))
    process = subprocess.Popen(
        [*command, "--access-log", log],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "EGRESS_CERTS": f"{directory}/certs-{name}", **given},
    )
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("egress: ready"):
                break
        else:
            raise AssertionError(f"{name} did not start: {''.join(said)}")
        yield
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def ask(path: str) -> object:
    """Status and, where the site echoes it, what the gateway says about the caller."""
    connection = http.client.HTTPConnection(PROXY, timeout=10)
    connection.request("GET", f"http://httpbin.org{path}", headers={"x-forwarded-client-cert": "By=liar"})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    if response.status != http.HTTPStatus.OK:
        return [response.status, body]
    headers = {name.lower(): value for name, value in json.loads(body)["headers"].items()}
    return [response.status, headers.get("x-forwarded-client-cert", "")]


def _files(files: Sequence[str]) -> list[str]:
    return [part for file in files for part in ("-f", file)]


if __name__ == "__main__":
    main()
