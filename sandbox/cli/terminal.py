"""What the terminal can show: colour or not, its width, and tables as istioctl aligns them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO

import click

COLUMN_GAP = 5
"""Blanks between columns, as in istioctl's tables."""


def has_colour(stream: IO[str]) -> bool:
    """Colour for a person at a terminal, unless NO_COLOR or TERM=dumb says no."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, stream: IO[str] | None = None, **style: bool | str) -> str:
    """``text`` in a click style where ``stream`` (standard output) has colour."""
    return click.style(text, **style) if has_colour(stream or sys.stdout) else text  # type: ignore[arg-type]  # click's styles


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], gap: int = COLUMN_GAP) -> str:
    """Left-aligned columns; the last one is not padded but where istioctl's tabwriter would."""
    lines = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) + gap for column in range(len(headings))]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(line[:-1], widths[:-1], strict=True)) + line[-1]
        for line in lines
    )
