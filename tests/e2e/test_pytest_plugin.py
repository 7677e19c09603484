"""The fixture that the package brings to other programs' tests."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import ConfigError
from sandbox.pytest_plugin import RunningSandbox

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
Start = Callable[..., RunningSandbox]


def get(url: str, mesh: RunningSandbox) -> int:
    """A program under test."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": mesh.environment["HTTP_PROXY"]}))
    try:
        with opener.open(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_an_allowed_and_a_blocked_call(egress_sandbox: Start) -> None:
    mesh = egress_sandbox(CONFIGS / "quickstart", lab=True)

    statuses = [get("http://httpbin.org/get", mesh), get("http://edition.cnn.com/", mesh)]

    assert statuses == [200, 502]
    mesh.assert_allowed("httpbin.org")
    mesh.assert_blocked("edition.cnn.com")


def test_a_failed_assertion_names_the_deciding_line(egress_sandbox: Start) -> None:
    mesh = egress_sandbox(CONFIGS / "quickstart", lab=True)
    get("http://edition.cnn.com/", mesh)

    with pytest.raises(pytest.fail.Exception, match=r"quickstart/mesh\.yaml:12  mode: REGISTRY_ONLY"):
        mesh.assert_allowed("edition.cnn.com")


def test_a_call_that_never_came_is_said_with_those_that_did(egress_sandbox: Start) -> None:
    mesh = egress_sandbox(CONFIGS / "quickstart", lab=True)
    get("http://httpbin.org/get", mesh)
    mesh.wait_for_call("httpbin.org")

    with pytest.raises(pytest.fail.Exception, match=r"no call to a\.example\.com .*httpbin\.org"):
        mesh.wait_for_call("a.example.com", seconds=0.05)


def test_a_configuration_with_errors_fails_the_test_that_starts_it(egress_sandbox: Start, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: [")

    with pytest.raises(ConfigError):
        egress_sandbox(tmp_path / "bad.yaml")
