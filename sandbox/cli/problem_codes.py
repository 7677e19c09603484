"""Every code a problem can have, as a table: ``egress check --list-codes``, and ``docs/problems.md``."""

from __future__ import annotations

import re

from sandbox.analysis import messages
from sandbox.analysis.messages import Finding
from sandbox.yaml_source.codes import CODES

BLANK = re.compile(r"\{[^}]*\}")


def all_codes() -> dict[str, tuple[str, str]]:
    """Code to severity and sentence, sorted; ``…`` stands for what a finding fills in."""
    found = {code: (known.severity, known.sentence) for code, known in CODES.items()}
    for finding in vars(messages).values():
        if isinstance(finding, Finding):
            found.setdefault(finding.code, (finding.severity, BLANK.sub("…", finding.template)))
    return {code: (severity, sentence) for code, (severity, sentence) in sorted(found.items())}


def markdown_table() -> str:
    """The table, one row for each code."""
    rows = [
        f"| `{code}` | {severity} | {sentence.replace('|', '/')} |"
        for code, (severity, sentence) in all_codes().items()
    ]
    return "\n".join(["| code | severity | meaning |", "|---|---|---|", *rows])
