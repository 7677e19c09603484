"""Containers without an engine: each is a network and a mount namespace, its root read-only, made by util-linux.

A service of a compose file runs in one as the engine would run it: its command, its user, its capabilities, and the
environment of the image.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
TOOLS = ("ip", "mount", "nsenter", "setpriv", "unshare", "curl")
SECONDS = 60.0
_IN_TMP = any(Path(path).is_relative_to("/tmp") for path in (ROOT, sys.executable))
TEMPORARY = "/var/tmp" if _IN_TMP else "/tmp"
"""The one place where an image may write; a checkout in /tmp must stay visible."""


def missing_tools() -> list[str]:
    """What this machine lacks to do without an engine."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def services(recipe: str) -> dict[str, dict[str, Any]]:
    """Of a recipe's compose file."""
    text = (ROOT / "docker" / recipe / "compose.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]
    return found


def health_check() -> list[str]:
    """The image's own command."""
    words = re.search(r"HEALTHCHECK [^[]*CMD (\[.*\])", DOCKERFILE.read_text(encoding="utf-8"))
    assert words is not None
    program, *arguments = yaml.safe_load(words[1])
    assert program == "python"
    return [sys.executable, *arguments]


class Container(AbstractContextManager["Container"]):
    """Namespaces kept by a process that sleeps.

    ``hosts`` are names and addresses that its resolver knows, ``nameserver`` is the one that it asks.
    """

    def __init__(self, hosts: Mapping[str, str], nameserver: str = "") -> None:
        lines = "".join(f"{address} {name}\\n" for name, address in {"localhost": "127.0.0.1", **hosts}.items())
        steps = ["ip link set lo up", "mount -o remount,bind,ro /"]
        steps += [f"mount -t tmpfs tmpfs {TEMPORARY}", f"printf '{lines}' > {TEMPORARY}/hosts"]
        steps += [f"mount --bind {TEMPORARY}/hosts /etc/hosts"]
        if nameserver:
            steps += [f"echo nameserver {nameserver} > {TEMPORARY}/resolv.conf"]
            steps += [f"mount --bind {TEMPORARY}/resolv.conf /etc/resolv.conf"]
        steps += ["echo up", "exec sleep 1000"]
        script = " && ".join(steps)
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "up\n"
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.terminate()
            process.communicate(timeout=SECONDS)
        self._keeper.kill()
        self._keeper.communicate()

    def set(self, sysctls: Mapping[str, str]) -> None:
        """As the engine sets them before the container starts."""
        for key, value in sysctls.items():
            script = f"echo {shlex.quote(value)} > /proc/sys/{key.replace('.', '/')}"
            subprocess.run(["nsenter", "-t", str(self._keeper.pid), "--net", "sh", "-c", script], check=True)

    def give_network(self, address: str) -> None:
        """A network of its own with a way out, which leads nowhere."""
        self._ip("link add eth0 type veth peer name eth0p")
        self._ip("link set eth0p up")
        self._address(address)
        self._ip("route add default dev eth0")

    def join(self, other: Container, own: str, theirs: str, device: str = "eth0") -> None:
        """A network of these two and nobody else, without a way out; ``device`` is our end of it."""
        self._ip(f"link add {device} type veth peer name eth0 netns {other._keeper.pid}")
        self._address(own, device)
        other._address(theirs)

    def _address(self, address: str, device: str = "eth0") -> None:
        self._ip(f"address add {address}/24 dev {device}")
        self._ip(f"link set {device} up")

    def _ip(self, words: str) -> None:
        subprocess.run(["nsenter", "-t", str(self._keeper.pid), "--net", "ip", *words.split()], check=True)

    def command(self, words: Sequence[str], user: str = "1337:1337", capabilities: Sequence[str] = ()) -> list[str]:
        """``words`` inside as a user (``UID:GID``) with these capabilities and no others."""
        uid, _, gid = user.partition(":")
        kept = ",".join(["-all", *(f"+{name.lower()}" for name in capabilities)])
        drop = [f"--bounding-set={kept}", f"--inh-caps={kept}", "--no-new-privs"]
        identity = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        return ["nsenter", "-t", str(self._keeper.pid), "--net", "--mount", "setpriv", *identity, *drop, *words]

    def run(self, *words: str, user: str = "1000:1000", **environment: str) -> subprocess.CompletedProcess[str]:
        """A command of the application's image, to its end."""
        return subprocess.run(
            self.command(words, user),
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def play(self, service: Mapping[str, Any], *more: str) -> subprocess.Popen[str]:
        """A service that runs our image; ``more`` options stand at the end of its command."""
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        words = [sys.executable, "-m", "sandbox", *service["command"], *more]
        process = subprocess.Popen(
            self.command(words, service.get("user", "1337:1337"), service.get("cap_add", ())),
            cwd=ROOT,
            env=_environment(service),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def restore(self, rules: str) -> None:
        """Rules that the engine itself lays, as iptables-restore takes them."""
        command = ["nsenter", "-t", str(self._keeper.pid), "--net", "iptables-restore", "--noflush"]
        subprocess.run(command, input=rules, text=True, check=True)

    def start(self, *words: str, user: str = "1337:1337") -> subprocess.Popen[str]:
        """A command beside, as the image's user; it ends with the container."""
        environment = {"PATH": os.environ["PATH"], "HOME": TEMPORARY, "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            self.command(words, user),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def wait_until_healthy(self) -> bool:
        """As ``service_healthy`` waits for it: whether the image's check ends well in time."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if self.run(*health_check(), user="1337:1337").returncode == 0:
                return True
        return False


def _environment(service: Mapping[str, Any]) -> dict[str, str]:
    """The image's, with the files where they lie here: ``/mesh`` is the volume, ``/tmp`` what may be written."""
    lines = re.findall(r"^ENV (.*)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    image = dict(word.split("=", 1) for words in lines for word in words.split())
    assert (image["EGRESS_CONFIG"], image["HOME"]) == ("/mesh", "/tmp")
    source, target, _ = service["volumes"][0].split(":")
    assert target == image["EGRESS_CONFIG"]
    mesh = (ROOT / "docker" / "recipe" / source).resolve()
    return {**image, "PATH": os.environ["PATH"], "EGRESS_CONFIG": str(mesh), "HOME": TEMPORARY}
