"""Every problem's code is known, and stands in the documentation with its meaning."""

from __future__ import annotations

import re
from pathlib import Path

from sandbox.cli.problem_codes import all_codes, markdown_table

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r'"((?:IST|SBX|EG)\d{3,4})"')


def test_every_code_that_the_source_uses_is_known() -> None:
    used = {
        code
        for file in sorted((ROOT / "sandbox").rglob("*.py"))
        for code in CODE.findall(file.read_text(encoding="utf-8"))
    }

    assert sorted(used - all_codes().keys()) == []


def test_the_documentation_lists_every_code() -> None:
    documentation = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")

    assert markdown_table() in documentation, "make docs writes docs/problems.md anew"
