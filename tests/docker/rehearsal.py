"""Run by itself, as root: the recipe "shared namespace" in a network namespace, told as JSON.

An init step as root lays the rules, the sandbox runs as 1337 beside an application as 1000.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from sandbox.capture import kernel_calls, namespace

READY = ["curl", "-s", "--retry", "100", "--retry-delay", "0", "--retry-connrefused", "--retry-max-time", "20"]


def fetch(host: str, user: int) -> str:
    """The status that an application gets; the address of the name is one that only rules can give a meaning."""
    command = ["curl", "-s", "-o", "/dev/null", "-m", "5", "-w", "%{http_code}"]
    command += ["--resolve", f"{host}:80:198.51.100.7", f"http://{host}/"]
    return subprocess.run(
        command, user=user, group=user, extra_groups=[], capture_output=True, text=True, check=False
    ).stdout


def main() -> None:
    home, log = sys.argv[1:]
    kernel_calls.unshare(kernel_calls.CLONE_NEWNET | kernel_calls.CLONE_NEWNS)
    namespace.build_network(ipv6=False)
    egress = [sys.executable, "-m", "sandbox"]
    subprocess.run([*egress, "capture", "install", "-f", "configs/quickstart"], check=True, stderr=subprocess.DEVNULL)
    arguments = ["run", "-f", "configs/quickstart", "--istio-ports", "--allow-remote", "--no-proxy", "--lab"]
    sandbox = subprocess.Popen(
        [*egress, *arguments, "--access-log", log],
        user=1337,
        group=1337,
        extra_groups=[],
        env={**os.environ, "HOME": home, "XDG_DATA_HOME": home},
        stderr=subprocess.DEVNULL,
    )
    try:
        told = {
            "ready": subprocess.run(
                [*READY, "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:15021/healthz/ready"],
                capture_output=True,
                text=True,
                check=False,
            ).stdout,
            "let through": fetch("www.aliyun.com", 1000),
            "blocked": fetch("www.google.com", 1000),
            "root is captured too": fetch("www.aliyun.com", 0),
            "user 1337 is not": fetch("www.aliyun.com", 1337),
        }
    finally:
        sandbox.terminate()
        sandbox.wait(20)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
