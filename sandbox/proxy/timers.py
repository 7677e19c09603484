"""Timers of the loop that are set anew as long as something happens."""

from __future__ import annotations

from typing import Final

TOLERANCE_SECONDS: Final = 0.002
"""uvloop rounds to whole milliseconds, and so may wake half of one early: what is so near is due."""
