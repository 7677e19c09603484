"""Run by itself: a sandbox with Istio's ports in a network namespace of its own; tells what they answer, as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from sandbox.capture import kernel_calls, namespace

QUICKSTART = Path(__file__).resolve().parents[2] / "configs" / "quickstart"
QUESTIONS = {
    "envoy": "http://127.0.0.1:15000/ready",
    "admin of the agent": "http://127.0.0.1:15020/clusters",
    "agent": "http://127.0.0.1:15020/healthz/ready",
    "health": "http://127.0.0.1:15021/healthz/ready",
    "merged": "http://127.0.0.1:15020/stats/prometheus",
    "prometheus": "http://127.0.0.1:15090/stats/prometheus",
}


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, ""


def main() -> None:
    kernel_calls.unshare(kernel_calls.CLONE_NEWNET | kernel_calls.CLONE_NEWNS)
    namespace.build_network(ipv6=False)
    command = [sys.executable, "-m", "sandbox", "run", "-f", str(QUICKSTART), "--istio-ports", "--no-proxy"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stderr is not None
        line = next(line for line in sandbox.stderr if "ready" in line)
        told: dict[str, object] = {name: ask(url) for name, url in QUESTIONS.items()}
        end = urllib.request.Request("http://127.0.0.1:15020/quitquitquit", method="POST")
        told["end"] = urllib.request.urlopen(end, timeout=5).status
        told["exit"] = sandbox.wait(timeout=20)
    print(json.dumps(told | {"ready": line}))


if __name__ == "__main__":
    main()
