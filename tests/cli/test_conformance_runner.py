"""The runner of the judges says which are absent, and that is no failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_judges_that_are_absent_are_named(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "conformance" / "run")],
        env={**os.environ, "JUDGES": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0
    judges = ["cases", "replay", "replay-own-rules", "istiod", "lab"]
    assert [line.split()[0] for line in ended.stdout.splitlines()[-len(judges) :]] == judges
    assert ended.stdout.count("does not exist") == len(judges)
