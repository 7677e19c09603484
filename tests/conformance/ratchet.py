"""Results of many cases against a committed list: what passed may not fail again; what is new may be added.

A list is a text file, one case a line: ``pass ID``, ``fail ID: why`` or ``not applicable ID: why``.
Only the lines ``pass`` bind. ``EGRESS_UPDATE_EXPECTED=1`` rewrites the lists from the present run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXPECTED = Path(__file__).parent / "expected"
UPDATE = "EGRESS_UPDATE_EXPECTED"


class NotApplicable(Exception):
    """The case is about something that is not emulated; the message says what."""


@dataclass(frozen=True)
class Outcome:
    """What became of one case."""

    case: str
    verdict: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.verdict} {self.case}" + (f": {self.why}" if self.why else "")


def run_case(case: dict[str, Any], check: Callable[[dict[str, Any]], None]) -> Outcome:
    """Run one case; an exception of ours is a failure like any other."""
    try:
        check(case)
    except NotApplicable as reason:
        return Outcome(case["id"], "not applicable", _line(reason))
    except AssertionError as failure:
        return Outcome(case["id"], "fail", _line(failure))
    except Exception as error:  # noqa: BLE001 (any fault of ours fails the case, and only this one)
        return Outcome(case["id"], "fail", f"{type(error).__name__}: {_line(error)}")
    return Outcome(case["id"], "pass")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]


def compare_with_list(name: str, outcomes: Iterable[Outcome]) -> str:
    """Fail where a case listed as passing does not pass; returns the counts."""
    return compare_lines(EXPECTED / f"{name}.txt", outcomes)


def compare_lines(path: Path, outcomes: Iterable[Outcome]) -> str:
    """Like ``compare_with_list`` for a list at any place."""
    name = path.stem
    outcomes = list(outcomes)
    counts = Counter(outcome.verdict for outcome in outcomes)
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("pass", "fail", "not applicable"))
    if os.environ.get(UPDATE):
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in (f"# {summary}", *map(str, outcomes))))
    listed = (
        {line.removeprefix("pass ") for line in path.read_text().splitlines() if line.startswith("pass ")}
        if path.exists()
        else set()
    )
    lost = [str(outcome) for outcome in outcomes if outcome.case in listed and outcome.verdict != "pass"]
    missing = listed - {outcome.case for outcome in outcomes}
    assert not lost, f"{name}: passed before: " + "; ".join(lost[:10])
    assert not missing, f"{name}: listed but gone: {sorted(missing)[:5]}"
    return summary
