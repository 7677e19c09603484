"""What the exit status says, as with istioctl."""

from __future__ import annotations

FAILED = 1
USAGE = 64
DATA = 65
FINDINGS = 79
INTERRUPTED = 130
