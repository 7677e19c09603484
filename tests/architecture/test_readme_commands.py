"""The documentation's commands run, and print what the documentation shows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
ANYTHING = "..."
SERVES = ("egress run", "egress lab")
"""Commands that do not end by themselves: only their options are tried."""


@dataclass(frozen=True)
class Shown:
    """A command and the output shown under it."""

    page: str
    command: str
    output: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {self.command}"


def shown_commands() -> Iterator[Shown]:
    """Every ``$ command`` of every console block."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *output = part.rstrip("\n").split("\n")
                yield Shown(page.name, command, tuple(output))


def agrees(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether the lines are the same; ``...`` stands for any number of lines."""
    pattern = "".join("(?:.*\n)*" if line.strip() == ANYTHING else re.escape(line.rstrip()) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in printed)) is not None


@pytest.mark.parametrize("shown", list(shown_commands()), ids=str)
def test_a_command_prints_what_is_shown(shown: Shown) -> None:
    words = shlex.split(shown.command, comments=True)
    if words[0] == "make":
        ended = subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return
    if words[0] != "egress":
        return
    if shown.command.startswith(SERVES):
        words = [*words, "--help"]
    ended = subprocess.run(
        [sys.executable, "-m", "sandbox", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode in (0, 79, 65), ended.stderr
    if not shown.command.startswith(SERVES):
        assert agrees(shown.output, (ended.stdout + ended.stderr).splitlines()), ended.stdout + ended.stderr
