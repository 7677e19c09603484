"""Every table of the examples' READMEs is true: each call is made, with real sockets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.app import Sandbox
from sandbox.cli.demo_client import request
from sandbox.lab.internet import Internet
from sandbox.settings import HostPort, ResolveOverride, Settings, parse_static_map

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ROW = re.compile(r"^\| `(?P<call>[^`]+)` \|(?: `(?P<workload>[^`/]+/[^`]+)` \|)? (?P<answer>[^|]+) \|", re.MULTILINE)
OF_CAPTURE = ("CAPTURE", "NAME", "EXEC")
"""Calls that ``tests/capture/test_examples.py`` makes."""
BROKEN = ResolveOverride("broken.example.com", None, "127.0.0.1", None)


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    example: str
    call: str
    workload: str | None
    answer: str

    def __str__(self) -> str:
        who = f" from {self.workload}" if self.workload else ""
        return f"{self.example}: {self.call}{who}: {self.answer}"


def rows() -> Iterator[Row]:
    """All rows of all examples."""
    for readme in sorted(EXAMPLES.glob("*/README.md")):
        for found in ROW.finditer(readme.read_text(encoding="utf-8")):
            yield Row(readme.parent.name, found["call"], found["workload"], found["answer"].strip())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certs")


@pytest.mark.parametrize("row", [row for row in rows() if row.call.split()[0] not in OF_CAPTURE], ids=str)
def test_the_call_comes_to_what_the_table_says(row: Row, certificates: Path) -> None:
    assert asyncio.run(answer_of(row, certificates)) == row.answer.strip("`")


async def answer_of(row: Row, certificates: Path) -> str:
    """Makes the call with the example's configuration; the answer in the table's words."""
    async with Internet(certificates) as internet:
        kind, target, *words = row.call.split()
        settings = Settings(
            files=(str(EXAMPLES / row.example),),
            workload=row.workload,
            proxy=HostPort("127.0.0.1", 0),
            maps=(parse_static_map(f"127.0.0.1:0={target}"),) if kind == "TCP" else (),
            resolve=(*internet.overrides, BROKEN),
            access_log="/dev/null",
        )
        async with Sandbox(settings) as sandbox:
            if kind == "TCP":
                door = next(address for name, address in sandbox.addresses.items() if name.startswith("map"))
                return await conversation(door, words, row.answer.strip("`"))
            reply = await asyncio.to_thread(
                request, target, sandbox.addresses["proxy"], internet.authority.certificate_file
            )
    if reply.status <= 0:
        return "closed"
    waited = re.search(r"after ([\d.]+) s", row.answer)
    if waited and float(waited[1]) <= reply.seconds < float(waited[1]) + 0.5:
        return f"{reply.status} after {waited[1]} s"
    return str(reply.status)


async def conversation(door: HostPort, words: list[str], expected: str) -> str:
    """Sends a line (or listens) and gives ``expected`` where that was among the bytes that came."""
    reader, writer = await asyncio.open_connection(door.host, door.port)
    try:
        if words:
            writer.write(" ".join(words).encode() + b"\r\n")
        async with asyncio.timeout(5):
            received = await reader.read(1000)
    finally:
        writer.close()
    if not received:
        return "closed"
    return expected if expected.encode() in received else repr(received)
