"""The judge of istiod's answers, which may lie beside the checkout."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

SHARED = Path(__file__).parents[3] / "shared"
KIT = SHARED / "istiod"


@cache
def kit() -> ModuleType:
    """Its module, imported from where it is."""
    sys.path.insert(0, str(KIT))
    try:
        return importlib.import_module("kit")
    finally:
        sys.path.remove(str(KIT))
