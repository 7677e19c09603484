"""The rows about capture and names in the tables of the examples' READMEs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.cli.capture_settings import read_capture_settings
from sandbox.explain.capture import answer
from sandbox.loading import load
from sandbox.match.capture_rules import Packet
from sandbox.match.name_lookup import Answer, NameLookup
from sandbox.settings import Settings, parse_host_port
from tests.capture.running_sandbox import ROOT, SECONDS
from tests.e2e.test_examples import EXAMPLES, OF_CAPTURE, Row, rows


def said_of_packet(settings: Settings, target: str) -> str:
    """``captured`` or ``untouched``."""
    address = parse_host_port(target)
    packet = Packet(destination=address.host, destination_port=address.port)
    return "untouched" if answer(read_capture_settings(settings).settings, packet).port is None else "captured"


def said_of_name(settings: Settings, name: str) -> str:
    """The name's address in the mesh, or ``forwarded``."""
    loaded = load(settings)
    lookup = NameLookup(
        loaded.plan.name_table,
        namespace=loaded.proxy.namespace,
        domain=loaded.proxy.dns_domain,
        search_domain=None,
    )
    found = lookup.find(name, "A")
    return " ".join(found.addresses) if isinstance(found, Answer) else "forwarded"


def status_inside(example: str, url: str, directory: Path) -> str:
    """What curl gets in a sandbox of its own."""
    arguments = [sys.executable, "-m", "sandbox", "exec", "-f", str(EXAMPLES / example), "--lab", "--"]
    arguments += ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", url]
    environment = {**os.environ, "TMPDIR": str(directory)}
    return subprocess.run(
        arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    ).stdout


@pytest.mark.parametrize("row", [row for row in rows() if row.call.split()[0] in OF_CAPTURE], ids=str)
def test_the_table_is_true(row: Row, tmp_path: Path) -> None:
    kind, target = row.call.split()
    settings = Settings(files=(str(EXAMPLES / row.example),), workload=row.workload)

    match kind:
        case "CAPTURE":
            said = said_of_packet(settings, target)
        case "NAME":
            said = said_of_name(settings, target)
        case _:
            said = status_inside(row.example, target, tmp_path)

    assert said == row.answer
