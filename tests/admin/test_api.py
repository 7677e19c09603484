"""The admin ports answer with Envoy's paths."""

from __future__ import annotations

import pytest

from sandbox.admin import api
from sandbox.app import Sandbox
from sandbox.settings import Settings


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/ready", 503, id="nothing is loaded yet"),
        pytest.param("HEAD", "/ready", 503, id="HEAD is answered as GET"),
        pytest.param("GET", "/", 200, id="the front page lists the commands"),
        pytest.param("GET", "/help", 200, id="so does help"),
        pytest.param("GET", "/nowhere", 404, id="an unknown path"),
        pytest.param("GET", "/quitquitquit", 405, id="what changes something takes POST"),
        pytest.param("POST", "/quitquitquit", 200, id="the end"),
    ],
)
def test_a_path_is_answered(method: str, path: str, status: int) -> None:
    assert api.answer(api.ADMIN, method, path, Sandbox(Settings())).status == status


def test_only_quitting_ends_the_program() -> None:
    sandbox = Sandbox(Settings())

    assert api.answer(api.AGENT, "POST", "/quitquitquit", sandbox).ends
    assert not api.answer(api.AGENT, "GET", "/healthz/ready", sandbox).ends


def test_help_names_every_path_with_its_method() -> None:
    listed = api.answer(api.ADMIN, "GET", "/help", Sandbox(Settings())).body

    assert all(f"  {path} ({method})" in listed for method, path in api.ADMIN)
