"""The same rules by the programs iptables-restore and ip6tables-restore, for kernels without nf_tables."""

from __future__ import annotations

import shutil
import subprocess

from sandbox.errors import SandboxError
from sandbox.match.capture_text import CHAINS, nat_lines
from sandbox.plan.capture import CaptureSettings

PROGRAMS = {4: "iptables", 6: "ip6tables"}


def install(settings: CaptureSettings) -> None:
    """Lays the rules before all others of the chain OUTPUT, in place of those laid before."""
    remove()
    for version in _versions():
        lines = nat_lines(settings, version)
        # Before a container engine's own rules for DNS; and inbound calls are nobody's here: they pass.
        lines = [line.replace("-A OUTPUT -j", "-I OUTPUT 1 -j") for line in lines]
        # Interfaces that are left out stand in OUTPUT itself, in Istio: behind the jump, here, and nobody's to remove.
        lines = [line.replace("-A OUTPUT -o", "-A ISTIO_OUTPUT -o") for line in lines]
        lines = [line.replace("-j ISTIO_IN_REDIRECT", "-j RETURN") for line in lines]
        _restore(version, lines)


def remove() -> None:
    """Takes the rules away, if there are any."""
    for version in _versions():
        if _run(version, "", "-t", "nat", "-C", "OUTPUT", "-j", "ISTIO_OUTPUT").returncode == 0:
            _run(version, "", "-t", "nat", "-D", "OUTPUT", "-j", "ISTIO_OUTPUT")
        for step in ("-F", "-X"):  # a chain goes when nothing leads to it any more
            for chain in CHAINS:
                _run(version, "", "-t", "nat", step, chain)


def _versions() -> list[int]:
    """IP versions whose programs exist; raises where there is not even IPv4's."""
    if shutil.which(PROGRAMS[4]) is None:
        raise SandboxError("this kernel has no nf_tables, and there is no program iptables either")
    return [version for version, program in PROGRAMS.items() if shutil.which(program) is not None]


def _restore(version: int, lines: list[str]) -> None:
    text = "\n".join(["*nat", *lines, "COMMIT", ""])
    ended = _run(version, text, "--noflush", program=f"{PROGRAMS[version]}-restore")
    if ended.returncode != 0 and version == 4:
        raise SandboxError(f"iptables-restore refuses the rules: {ended.stderr.strip()}")


def _run(version: int, text: str, *arguments: str, program: str = "") -> subprocess.CompletedProcess[str]:
    command = [program or PROGRAMS[version], *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)
