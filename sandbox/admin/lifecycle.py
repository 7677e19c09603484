"""What changes the program, and what tells whether it is well."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox.admin.answers import AdminRequest, Answer

if TYPE_CHECKING:
    from sandbox.app import Sandbox


def health(sandbox: Sandbox, _request: AdminRequest) -> Answer:
    """istio-agent's word: 200 where everything serves."""
    return Answer("", HTTPStatus.OK if sandbox.loaded else HTTPStatus.SERVICE_UNAVAILABLE)


def problems(sandbox: Sandbox, _request: AdminRequest) -> Answer:
    """The findings of the last load."""
    found = () if sandbox.loaded is None else sandbox.loaded.problems
    return Answer("".join(f"{problem}\n" for problem in found))


def quit_program(_sandbox: Sandbox, _request: AdminRequest) -> Answer:
    """Ends the program, as a signal does: live connections may finish."""
    return Answer("OK\n", ends=True)


def drain_listeners(sandbox: Sandbox, request: AdminRequest) -> Answer:
    """No further connections; those that are open stay. Every listener here is an outbound one."""
    if "inboundonly" not in request.query:
        sandbox.drain_listeners(graceful="graceful" in request.query)
    return Answer("OK\n")


def drain(sandbox: Sandbox, _request: AdminRequest) -> Answer:
    """istio-agent's way to ask for a graceful drain."""
    sandbox.drain_listeners(graceful=True)
    return Answer("OK")
