"""Istio's ports, under their own numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a namespace for other programs")
@pytest.mark.namespaces
@pytest.mark.slow
def test_every_port_answers_in_a_namespace_of_its_own() -> None:
    command = [sys.executable, "-m", "tests.capture.istio_ports_namespace"]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["envoy"] == [200, "LIVE\n"]
    assert told["agent"][0] == told["health"][0] == 200
    assert told["admin of the agent"][0] == 404
    for port in ("merged", "prometheus"):
        status, text = told[port]
        names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
        assert status == 200
        assert {"istio_build", "envoy_server_live"} <= names
    assert (told["end"], told["exit"]) == (200, 0)
    for port, number in (("admin", 15000), ("agent", 15020), ("metrics", 15090)):
        assert f"{port} " in told["ready"]
        assert f":{number}" in told["ready"]
