"""``egress demo`` tells all its stories, and fits a terminal of eighty columns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.cli.demo_stories import STORIES


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    certificates: Path = tmp_path_factory.mktemp("certs")
    return subprocess.run(
        [sys.executable, "-m", "sandbox", "demo", "--fast"],
        capture_output=True,
        text=True,
        check=False,
        env={"EGRESS_CERTS": str(certificates), "PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).resolve().parents[2],
    )


@pytest.mark.slow
def test_every_story_goes_as_it_should(told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{len(STORIES)} of {len(STORIES)} stories went as they should." in told.stdout


@pytest.mark.slow
def test_every_call_names_the_line_that_decided(told: subprocess.CompletedProcess[str]) -> None:
    calls = told.stdout.split("\n   GET ")[1:]

    assert len(calls) == sum(len(story.calls) for story in STORIES)
    assert all("\n   why  configs/" in call and "\n   log  [" in call for call in calls)


@pytest.mark.slow
def test_it_fits_eighty_columns(told: subprocess.CompletedProcess[str]) -> None:
    assert [line for line in told.stdout.split("\n") if len(line) > 80] == []


def test_a_story_that_does_not_exist_is_a_mistake_of_usage() -> None:
    ended = subprocess.run([sys.executable, "-m", "sandbox", "demo", "7"], capture_output=True, text=True, check=False)

    assert ended.returncode == 64
    assert "there is no story 7" in ended.stderr
