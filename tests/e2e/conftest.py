"""What all end-to-end tests share: local authorities apart from those of the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of the authority of the embedded internet; that of the mesh is below it."""
    directory = tmp_path_factory.mktemp("certs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EGRESS_CERTS", str(directory))
        yield directory
