"""The recipe "shared namespace", rehearsed without an engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.namespaces
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="several users are needed, and only root has them")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_init_step_sandbox_and_application_in_one_namespace() -> None:
    with tempfile.TemporaryDirectory(prefix="egress-rehearsal-") as home:
        os.chown(home, 1337, 1337)
        log = f"{home}/access.log"
        ended = subprocess.run(
            [sys.executable, "-m", "tests.docker.rehearsal", home, log],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        lines = [json.loads(line) for line in Path(log).read_text().splitlines()]

    told = json.loads(ended.stdout)
    assert told == {
        "ready": "200",
        "let through": "301",
        "blocked": "502",
        "root is captured too": "301",
        "user 1337 is not": "000",
    }
    assert [line["response_code"] for line in lines] == [301, 502, 301]
