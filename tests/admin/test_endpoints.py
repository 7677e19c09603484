"""Paths and methods, before anything is loaded."""

from __future__ import annotations

import pytest

from sandbox.admin.answers import AdminRequest, Answer
from sandbox.admin.endpoints import ADMIN, AGENT, METRICS, Port
from sandbox.admin.http_server import read_head
from sandbox.app import Sandbox
from sandbox.settings import Settings


def ask(port: Port, method: str, path: str) -> Answer:
    request = AdminRequest(method=method, path=path, host="127.0.0.1")
    return port.answer(Sandbox(Settings()), request, is_loopback_only=True)


@pytest.mark.parametrize(
    ("port", "method", "path", "status"),
    [
        pytest.param(ADMIN, "GET", "/ready", 503, id="nothing is loaded yet"),
        pytest.param(ADMIN, "HEAD", "/ready", 503, id="HEAD is answered as GET"),
        pytest.param(ADMIN, "GET", "/clusters", 503, id="there are no clusters yet"),
        pytest.param(ADMIN, "GET", "/", 200, id="the front page lists the commands"),
        pytest.param(ADMIN, "GET", "/help", 200, id="so does help"),
        pytest.param(ADMIN, "GET", "/nowhere", 404, id="an unknown path"),
        pytest.param(ADMIN, "GET", "/quitquitquit", 405, id="what changes something takes POST"),
        pytest.param(ADMIN, "GET", "/drain_listeners", 405, id="so does draining"),
        pytest.param(ADMIN, "GET", "/logging", 405, id="and logging, as in Envoy"),
        pytest.param(ADMIN, "POST", "/quitquitquit", 200, id="the end"),
        pytest.param(AGENT, "GET", "/healthz/ready", 503, id="the agent says so, too"),
        pytest.param(AGENT, "GET", "/drain", 405, id="the agent's drain takes POST"),
        pytest.param(AGENT, "GET", "/nowhere", 404, id="the agent has no help"),
        pytest.param(METRICS, "GET", "/config_dump", 404, id="Prometheus's port tells nothing else"),
    ],
)
def test_a_path_is_answered(port: Port, method: str, path: str, status: int) -> None:
    assert ask(port, method, path).status == status


def test_only_quitting_ends_the_program() -> None:
    assert ask(AGENT, "POST", "/quitquitquit").ends
    assert not ask(AGENT, "GET", "/healthz/ready").ends


def test_help_names_every_path_and_what_takes_post() -> None:
    listed = ask(ADMIN, "GET", "/help").body

    assert all(f"  {path}" in listed for path in ADMIN.endpoints)
    assert "  /quitquitquit (POST): exit the server\n" in listed
    assert "      filter: " in listed


def test_a_head_is_read_with_its_query() -> None:
    head = b"GET /stats?filter=a%7Cb&usedonly&format=text&format=json HTTP/1.1\r\nHost: x\r\nORIGIN: http://y"

    found = read_head(head, is_local=True)

    assert (found.method, found.path, found.host, found.origin) == ("GET", "/stats", "x", "http://y")
    assert found.query == {"filter": "a|b", "usedonly": "", "format": "json"}
