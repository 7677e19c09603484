"""What the admin ports answer: path and method in, status, type and text out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox import __version__

if TYPE_CHECKING:
    from sandbox.app import Sandbox

TEXT = "text/plain; charset=UTF-8"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply; ``ends`` says that the program ends after it."""

    body: str
    status: int = HTTPStatus.OK
    content_type: str = TEXT
    ends: bool = False


Handler = Callable[["Sandbox"], Answer]


def answer(handlers: Mapping[tuple[str, str], Handler], method: str, path: str, sandbox: Sandbox) -> Answer:
    """The answer of one port; what changes something takes POST, as in Envoy."""
    handler = handlers.get(("GET" if method == "HEAD" else method, path))
    if handler is not None:
        return handler(sandbox)
    if any(known == path for _, known in handlers):
        return Answer(f"Method {method} not allowed, POST required.\n", HTTPStatus.METHOD_NOT_ALLOWED)
    paths = "\n".join(f"  {known} ({needed})" for needed, known in sorted(handlers, key=lambda key: key[1]))
    if path in ("/", "/help"):
        return Answer(f"admin commands are:\n{paths}\n")
    return Answer(f"invalid path. admin commands are:\n{paths}\n", HTTPStatus.NOT_FOUND)


def _ready(sandbox: Sandbox) -> Answer:
    return Answer("LIVE\n") if sandbox.loaded else Answer("PRE_INITIALIZING\n", HTTPStatus.SERVICE_UNAVAILABLE)


def _health(sandbox: Sandbox) -> Answer:
    return Answer("", HTTPStatus.OK if sandbox.loaded else HTTPStatus.SERVICE_UNAVAILABLE)


def _config_dump(sandbox: Sandbox) -> Answer:
    # Imported here: a proxy that nobody asks needs no encoder.
    from sandbox.envoy_config.config_dump import config_dump

    assert sandbox.loaded is not None, "the port opens after the first load"
    return Answer(json.dumps(config_dump(sandbox.loaded.plan), indent=1), content_type=JSON)


def _listeners(sandbox: Sandbox) -> Answer:
    from sandbox.plan.base import SocketAddress

    assert sandbox.loaded is not None, "the port opens after the first load"
    found = [
        f"{listener.name}::{listener.address.address}:{listener.address.port_value}"
        for listener in sandbox.loaded.plan.listeners
        if isinstance(listener.address, SocketAddress)
    ]
    return Answer("".join(f"{line}\n" for line in found))


def _server_info(sandbox: Sandbox) -> Answer:
    assert sandbox.loaded is not None, "the port opens after the first load"
    plan = sandbox.loaded.plan
    told = {"version": f"egress-sandbox/{__version__}", "state": "LIVE", "node": f"{plan.node_type}~{plan.workload}"}
    return Answer(json.dumps(told, indent=1), content_type=JSON)


def _problems(sandbox: Sandbox) -> Answer:
    assert sandbox.loaded is not None, "the port opens after the first load"
    return Answer("".join(f"{problem}\n" for problem in sandbox.loaded.problems))


def _quit(sandbox: Sandbox) -> Answer:
    return Answer("OK\n", ends=True)


ADMIN: Mapping[tuple[str, str], Handler] = {
    ("GET", "/config_dump"): _config_dump,
    ("GET", "/listeners"): _listeners,
    ("GET", "/problems"): _problems,
    ("GET", "/ready"): _ready,
    ("GET", "/server_info"): _server_info,
    ("POST", "/quitquitquit"): _quit,
}
"""Envoy's own port, 15000; ``/problems`` is ours."""

AGENT: Mapping[tuple[str, str], Handler] = {
    ("GET", "/healthz/ready"): _health,
    ("POST", "/quitquitquit"): _quit,
}
"""istio-agent's port, 15020."""
