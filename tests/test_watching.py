"""FileWatch: a change is noticed once, after it has settled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sandbox import watching
from sandbox.watching import FileWatch


def test_a_changed_and_a_new_file_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "INTERVAL_SECONDS", 0.01)

    async def test() -> None:
        changes: asyncio.Queue[None] = asyncio.Queue()
        (tmp_path / "a.yaml").write_text("a")
        watch = FileWatch([str(tmp_path)], lambda: changes.put_nowait(None))
        (tmp_path / "a.yaml").write_text("longer")
        async with asyncio.timeout(5):
            await changes.get()
            (tmp_path / "b.yaml").write_text("b")
            await changes.get()
        (tmp_path / "c.txt").write_text("no configuration")
        watch.close()
        assert changes.empty()

    asyncio.run(test())
